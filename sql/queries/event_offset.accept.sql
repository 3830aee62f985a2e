-- The log of another cluster goes on where the former one ended: it was filled up to there.
-- $1 text topic, $2 text cluster
update sink_offsets set cluster = $2 where topic = $1 and cluster <> $2
