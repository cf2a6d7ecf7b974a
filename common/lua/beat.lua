-- beat: all that an agent says every few seconds, and what it hears.
-- Writes the heartbeat, moves last uses forward, says at once when a disk is filling, and returns
-- the delete commands that wait for the node. Said twice, a last use is later by the time between,
-- never earlier. An error has changed nothing.
--
-- KEYS  1 larder:{N}   2 larder:{N}:lru   3 larder:{N}:size   4 larder:{N}:cmd   5 larder:{N}:hold
--       6 larder:{N}:holders
-- ARGV  1 incarnation  2 node  3 pressure channel  4 DOWNLOADED models the agent has
--       5 bytes it wants freed  6 what it takes for Redis' clock, in ms; 0 when it does not know
--       then F and F pairs field, value for the node's hash
--       then T and T pairs age in ms, model (last uses)
--       then H and H times: ms from now (0: released), model, "source: who" (holds)
-- Returns {"OK", now in ms, model, command, model, command, ...}
--      or {"UNKNOWN"}: register first     or {"RESYNC"}: the keys disagree with the agent
--      or {"CLOCK"}: Redis' clock has jumped since the agent heard it; begin again
local PRESSURE_REPEAT_MS = 30000
local LIST_MAX = 3000 -- unpack takes less than 8,000 values
local NUMBER_MAX = 2 ^ 63
local JUMP_MS = 60000
local ZADD_VALUES = 28 -- with what goes before them 32: up to there Redis reuses its arguments

-- Every node runs this every few seconds. ARGV is handed on in place, and '%d' (exact up to 2^63)
-- spells a time several times faster than '%.0f'.
local call, spell, min = redis.call, string.format, math.min
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local now_text = spell('%d', now)

-- Everything is read and checked first: there is no way back from a write.
local function number(i)
	local value = tonumber(ARGV[i])
	if not (value and value % 1 == 0 and value >= -NUMBER_MAX and value <= NUMBER_MAX) then
		error('argument ' .. i .. ' is no whole number: ' .. string.sub(ARGV[i] or '', 1, 40))
	end
	return value
end

-- Each list begins after its own length.
local at = 7
local function next_list(width)
	local count = number(at)
	local first, last = at + 1, at + width * count
	if count < 0 or count > LIST_MAX or last > #ARGV then
		error('argument ' .. at .. ' is not the length of a list: ' .. count)
	end
	at = last + 1
	return first, last
end

local models, want, heard = number(4), number(5), number(6)
local field, last_field = next_list(2)
local use, last_use = next_list(2)
local hold, last_hold = next_list(3)
if at ~= #ARGV + 1 then
	error('there are more arguments than were announced')
end
for i = use, last_use, 2 do
	local age = number(i)
	ARGV[i] = age > 0 and spell('%d', now - age) or now_text
end
for i = hold, last_hold, 3 do
	ARGV[i] = number(i)
end
local state = call('HMGET', KEYS[1], 'inc', 'loading')
if state[1] ~= ARGV[1] or state[2] then
	return {'UNKNOWN'}
end
-- What was told before is on another clock. Without a heartbeat on the new one, no leader acts on it.
if heard > 0 and math.abs(now - heard) > JUMP_MS then
	return {'CLOCK'}
end
local agrees = call('ZCARD', KEYS[2]) == models and call('HLEN', KEYS[3]) == models
local commands = call('HGETALL', KEYS[4])
if hold < last_hold then
	-- Errors when they are of another type.
	call('ZCARD', KEYS[5])
	call('HLEN', KEYS[6])
end
local presses = false
if want > 0 then
	local before = call('HMGET', KEYS[1], 'want', 'pressed')
	presses = (tonumber(before[1]) or 0) <= 0 or
		math.abs(now - (tonumber(before[2]) or 0)) >= PRESSURE_REPEAT_MS
end

call('HSET', KEYS[1], 'hb', now_text, 'want', ARGV[5], unpack(ARGV, field, last_field))
for i = use, last_use, ZADD_VALUES do
	call('ZADD', KEYS[2], 'XX', 'GT', unpack(ARGV, i, min(last_use, i + ZADD_VALUES - 1)))
end
if hold < last_hold then
	local ended = call('ZRANGEBYSCORE', KEYS[5], '-inf', now_text, 'LIMIT', 0, LIST_MAX)
	if #ended > 0 then
		call('ZREM', KEYS[5], unpack(ended))
		call('HDEL', KEYS[6], unpack(ended))
	end
end
for i = hold, last_hold, 3 do
	local ms, model = ARGV[i], ARGV[i + 1]
	if ms > 0 then
		call('ZADD', KEYS[5], spell('%d', min(now + ms, 2 ^ 53)), model)
		call('HSET', KEYS[6], model, ARGV[i + 2])
	else
		call('ZREM', KEYS[5], model)
		call('HDEL', KEYS[6], model)
	end
end
if presses then
	call('HSET', KEYS[1], 'pressed', now_text)
	call('PUBLISH', ARGV[3], ARGV[2])
end
if not agrees then
	return {'RESYNC'}
end
-- No leader has that many under way on one node; the rest comes with a later beat.
return {'OK', now_text, unpack(commands, 1, min(#commands, 4000))}
