-- Months before $1 text, the current one, are over.
update ad_month set final = true where not final and month < $1
