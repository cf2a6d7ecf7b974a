-- beat: all that an agent says every few seconds, and what it hears.
-- Writes the heartbeat, moves last uses forward, says at once when a disk is filling, and returns
-- the delete commands that wait for the node. Replaying it changes nothing.
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
local ZADD_VALUES = 28 -- with what goes before them 32: up to there Redis reuses its arguments

-- Every node runs this every few seconds. ARGV is handed on in place, and '%d' (exact up to 2^63)
-- spells a time several times faster than '%.0f'.
local call, spell, min = redis.call, string.format, math.min
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local now_text = spell('%d', now)
local state = call('HMGET', KEYS[1], 'inc', 'loading')
if state[1] ~= ARGV[1] or state[2] then
	return {'UNKNOWN'}
end

if tonumber(ARGV[5]) > 0 then
	local before = call('HMGET', KEYS[1], 'want', 'pressed')
	if (tonumber(before[1]) or 0) == 0 or
	   now - (tonumber(before[2]) or 0) >= PRESSURE_REPEAT_MS then
		call('HSET', KEYS[1], 'pressed', now_text)
		call('PUBLISH', ARGV[3], ARGV[2])
	end
end

-- Each list begins after its own length.
local at = 6
local function next_list()
	local first, last = at + 1, at + 2 * tonumber(ARGV[at])
	at = last + 1
	return first, last
end

local first, last = next_list()
call('HSET', KEYS[1], 'hb', now_text, 'want', ARGV[5], unpack(ARGV, first, last))

first, last = next_list()
for i = first, last, 2 do
	local age = ARGV[i] + 0
	ARGV[i] = age > 0 and spell('%d', now - age) or now_text
end
for i = first, last, ZADD_VALUES do
	call('ZADD', KEYS[2], 'XX', 'GT', unpack(ARGV, i, min(last, i + ZADD_VALUES - 1)))
end

first, last = next_list()
if first < last then
	call('ZREMRANGEBYSCORE', KEYS[5], '-inf', now_text)
end
for i = first, last, 2 do
	local ms, model = tonumber(ARGV[i]), ARGV[i + 1]
	if ms > 0 then
		call('ZADD', KEYS[5], spell('%d', now + ms), model)
	else
		call('ZREM', KEYS[5], model)
	end
end

local models = tonumber(ARGV[4])
if call('ZCARD', KEYS[2]) ~= models or call('HLEN', KEYS[3]) ~= models then
	return {'RESYNC'}
end
-- No leader has that many under way on one node; the rest comes with a later beat.
local commands = call('HGETALL', KEYS[4])
return {'OK', now_text, unpack(commands, 1, min(#commands, 4000))}
