-- Before a transaction takes its snapshot: months are not forgotten until it ends
lock table event in access share mode
