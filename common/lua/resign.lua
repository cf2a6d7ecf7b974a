-- resign: gives the leadership up, if it is still one's own.
--
-- KEYS  1 larder:leader
-- ARGV  1 id of the leader
-- Returns 1 when it was given up, else 0
if redis.call('HGET', KEYS[1], 'id') == ARGV[1] then
	return redis.call('DEL', KEYS[1])
end
return 0
