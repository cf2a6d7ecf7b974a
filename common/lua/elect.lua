-- elect: takes, renews or looks at the leadership.
-- A new leader's epoch is max(last + 1, Redis' time in ms), so that two leaders never share one,
-- even when a fail-over lost the last writes.
--
-- KEYS  1 larder:leader  2 larder:epoch
-- ARGV  1 id of the candidate  2 its address, shown to people and clients  3 lease in ms
--       4 the least epoch to take  5 take it if it is free (1 or 0)
-- Returns {"LEADER", epoch, now in ms} or {"FOLLOWER", id, address, ms left of its lease}
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local now_text = string.format('%.0f', now)
local leader = redis.call('HMGET', KEYS[1], 'id', 'epoch', 'address')
if leader[1] == ARGV[1] then
	redis.call('HSET', KEYS[1], 'renewed_ms', now_text)
	redis.call('PEXPIRE', KEYS[1], ARGV[3])
	return {'LEADER', leader[2], now_text}
end
if leader[1] or ARGV[5] ~= '1' then
	return {'FOLLOWER', leader[1] or '', leader[3] or '',
		string.format('%.0f', math.max(0, redis.call('PTTL', KEYS[1])))}
end
local last = tonumber(redis.call('GET', KEYS[2]) or 0) or 0
if not (last >= 0 and last < 2 ^ 53 - 1) then
	last = 0 -- no epoch: the fences of the nodes tell the rest
end
local epoch = string.format('%.0f', math.max(last + 1, now, tonumber(ARGV[4])))
redis.call('SET', KEYS[2], epoch)
redis.call('HSET', KEYS[1], 'id', ARGV[1], 'epoch', epoch, 'address', ARGV[2], 'since_ms', now_text,
	'renewed_ms', now_text)
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return {'LEADER', epoch, now_text}
