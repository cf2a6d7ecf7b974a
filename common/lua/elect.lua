-- elect: takes, renews or looks at the leadership.
-- A new leader's epoch is max(last + 1, Redis' time in ms), so that two leaders never share one,
-- even when a fail-over lost the last writes. An error has changed nothing.
--
-- KEYS  1 larder:leader  2 larder:epoch
-- ARGV  1 id of the candidate  2 its address, shown to people and clients  3 lease in ms
--       4 the least epoch to take  5 take it if it is free (1 or 0)
-- Returns {"LEADER", epoch, now in ms} or {"FOLLOWER", id, address, ms left of its lease}
local EPOCH_MAX = 2 ^ 53 - 2 -- the last one that Lua tells from its successor
local LEASE_MAX = 60000 -- of any coordinator (setting lease), in ms

-- Everything is read and checked first: there is no way back from a write.
local function whole(text)
	local number = text and string.find(text, '^%d+$') and tonumber(text)
	return number and number <= EPOCH_MAX and number
end

local id, address, takes = ARGV[1], ARGV[2], ARGV[5] == '1'
local lease, least = whole(ARGV[3]), whole(ARGV[4])
if not lease or lease == 0 then
	error('the lease is not a number of ms: ' .. string.sub(ARGV[3] or '', 1, 40))
end
if not least or #ARGV ~= 5 then
	error('the least epoch is not one: ' .. string.sub(ARGV[4] or '', 1, 40))
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local now_text = string.format('%.0f', now)
local leader = redis.call('HMGET', KEYS[1], 'id', 'epoch', 'address')
-- What is no epoch tells no more than none does; the fences of the nodes tell the rest.
local last = whole(redis.call('GET', KEYS[2])) or 0

if leader[1] == id and whole(leader[2]) then
	redis.call('HSET', KEYS[1], 'renewed_ms', now_text)
	redis.call('PEXPIRE', KEYS[1], ARGV[3])
	return {'LEADER', leader[2], now_text}
end
if leader[1] and leader[1] ~= id or not takes then
	local left = redis.call('PTTL', KEYS[1])
	if leader[1] and takes and (left == -1 or left > LEASE_MAX) then
		-- One without an end would be for ever: nobody renews it, or it would have one. One that is
		-- too long is from before Redis' clock went back: who still leads renews it before this ends.
		left = left == -1 and lease or LEASE_MAX
		redis.call('PEXPIRE', KEYS[1], string.format('%.0f', left))
	end
	return {'FOLLOWER', leader[1] or '', leader[3] or '', string.format('%.0f', math.max(0, left))}
end
local epoch = string.format('%.0f', math.max(last + 1, now, least))
redis.call('SET', KEYS[2], epoch)
redis.call('HSET', KEYS[1], 'id', id, 'epoch', epoch, 'address', address, 'since_ms', now_text,
	'renewed_ms', now_text)
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return {'LEADER', epoch, now_text}
