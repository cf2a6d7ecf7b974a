-- mend: drops what Larder cannot have written from a node's keys: keys of another type, counters
-- that are no numbers. Else the other scripts would refuse to work on them for ever. What they accept
-- stays.
--
-- KEYS  1 larder:{N}, then the node's other keys
-- ARGV  the type of each of them
-- Returns the names of what was dropped
local COUNTERS = {'deleted', 'gone', 'refused', 'failed', 'refault', 'freed', 'inv', 'fence'}
-- The others are added to by Redis, digit by digit. Leaders do not follow a fence from 2^52 on.
local LESS_THAN = {inv = 2 ^ 53, fence = 2 ^ 52}

local function good(counter, value)
	return value:find('^%d+$') and #value < 19 and
		(not LESS_THAN[counter] or tonumber(value) < LESS_THAN[counter])
end

local dropped = {}
for i, key in ipairs(KEYS) do
	local type = redis.call('TYPE', key).ok
	if type ~= 'none' and type ~= ARGV[i] then
		redis.call('UNLINK', key)
		dropped[#dropped + 1] = key
	end
end
for i, value in ipairs(redis.call('HMGET', KEYS[1], unpack(COUNTERS))) do
	if value and not good(COUNTERS[i], value) then
		redis.call('HDEL', KEYS[1], COUNTERS[i])
		dropped[#dropped + 1] = KEYS[1] .. ' ' .. COUNTERS[i]
	end
end
return dropped
