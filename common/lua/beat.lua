-- beat: all that an agent says every few seconds, and what it hears.
-- Writes the heartbeat, moves last uses forward, says at once when a disk is filling, and returns
-- the delete commands that wait for the node. Said twice, a last use is later by the time between,
-- never earlier. An error has changed nothing.
--
-- KEYS  1 larder:{N}   2 larder:{N}:lru   3 larder:{N}:size   4 larder:{N}:cmd   5 larder:{N}:hold
-- ARGV  1 incarnation  2 node  3 pressure channel  4 DOWNLOADED models the agent has
--       5 bytes it wants freed
--       then F and F pairs field, value for the node's hash
--       then T and T pairs age in ms, model (last uses)
--       then H and H pairs ms from now (0: released), model (holds)
-- Returns {"OK", now in ms, model, command, model, command, ...}
--      or {"UNKNOWN"}: register first     or {"RESYNC"}: the keys disagree with the agent
local PRESSURE_REPEAT_MS = 30000
local PAIRS_MAX = 3000 -- unpack takes less than 8,000 values
local NUMBER_MAX = 2 ^ 63

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local now_text = string.format('%.0f', now)

-- Everything is read and checked first: there is no way back from a write.
local at = 4
local function take()
	at = at + 1
	return ARGV[at - 1] or error('an argument is missing')
end
local function take_number(least, most)
	local text = take()
	local number = tonumber(text)
	if not (number and number % 1 == 0 and number >= (least or -NUMBER_MAX) and
		number <= (most or NUMBER_MAX)) then
		error('argument ' .. at - 1 .. ' is not a whole number that is allowed: ' .. text:sub(1, 40))
	end
	return number
end

local models, want = take_number(), take_number()
local fields = {'hb', now_text, 'want', ARGV[5]}
for _ = 1, take_number(0, PAIRS_MAX) do
	fields[#fields + 1] = take()
	fields[#fields + 1] = take()
end
local touched = {}
for _ = 1, take_number(0, PAIRS_MAX) do
	touched[#touched + 1] = string.format('%.0f', now - math.max(0, take_number()))
	touched[#touched + 1] = take()
end
local held, released = {}, {}
for _ = 1, take_number(0, PAIRS_MAX) do
	local ms, model = take_number(), take()
	if ms > 0 then
		held[model], released[model] = string.format('%.0f', now + ms), nil
	else
		held[model], released[model] = nil, true
	end
end
if at ~= #ARGV + 1 then
	error('there are more arguments than were announced')
end
local state = redis.call('HMGET', KEYS[1], 'inc', 'loading', 'want', 'pressed')
if state[1] ~= ARGV[1] or state[2] then
	return {'UNKNOWN'}
end
local agrees = redis.call('ZCARD', KEYS[2]) == models and redis.call('HLEN', KEYS[3]) == models
local commands = redis.call('HGETALL', KEYS[4])
local holds = next(held) or next(released)
if holds then
	redis.call('ZCARD', KEYS[5]) -- an error when it is of another type
end

local presses = want > 0 and ((tonumber(state[3]) or 0) <= 0 or
	math.abs(now - (tonumber(state[4]) or 0)) >= PRESSURE_REPEAT_MS)
if presses then
	fields[#fields + 1] = 'pressed'
	fields[#fields + 1] = now_text
end
redis.call('HSET', KEYS[1], unpack(fields))
if #touched > 0 then
	redis.call('ZADD', KEYS[2], 'XX', 'GT', unpack(touched))
end
if holds then
	redis.call('ZREMRANGEBYSCORE', KEYS[5], '-inf', now_text)
end
for model, ends in pairs(held) do
	redis.call('ZADD', KEYS[5], ends, model)
end
for model in pairs(released) do
	redis.call('ZREM', KEYS[5], model)
end
if presses then
	redis.call('PUBLISH', ARGV[3], ARGV[2])
end
if not agrees then
	return {'RESYNC'}
end
-- No leader has that many under way on one node; the rest comes with a later beat.
return {'OK', now_text, unpack(commands, 1, math.min(#commands, 4000))}
