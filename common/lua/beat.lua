-- beat: all that an agent says every few seconds, and what it hears.
-- Writes the heartbeat, moves last uses forward, says at once when a disk is filling, and returns
-- the delete commands that wait for the node. Replaying it changes nothing.
--
-- KEYS  1 larder:{N}   2 larder:{N}:lru   3 larder:{N}:size   4 larder:{N}:cmd   5 larder:{N}:hold
--       6 larder:{N}:holders
-- ARGV  1 incarnation  2 node  3 pressure channel  4 DOWNLOADED models the agent has
--       5 bytes it wants freed
--       then F and F pairs field, value for the node's hash
--       then T and T pairs age in ms, model (last uses)
--       then H and H times: ms from now (0: released), model, "source: who" (holds)
-- Returns {"OK", now in ms, model, command, model, command, ...}
--      or {"UNKNOWN"}: register first     or {"RESYNC"}: the keys disagree with the agent
local PRESSURE_REPEAT_MS = 30000

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local state = redis.call('HMGET', KEYS[1], 'inc', 'loading', 'want', 'pressed')
if state[1] ~= ARGV[1] or state[2] then
	return {'UNKNOWN'}
end

local at = 6
local function take()
	at = at + 1
	return ARGV[at - 1]
end

local want = tonumber(ARGV[5])
local fields = {'hb', string.format('%.0f', now), 'want', ARGV[5]}
for _ = 1, tonumber(take()) do
	fields[#fields + 1] = take()
	fields[#fields + 1] = take()
end
if want > 0 and ((tonumber(state[3]) or 0) == 0 or
		 now - (tonumber(state[4]) or 0) >= PRESSURE_REPEAT_MS) then
	fields[#fields + 1] = 'pressed'
	fields[#fields + 1] = string.format('%.0f', now)
	redis.call('PUBLISH', ARGV[3], ARGV[2])
end
redis.call('HSET', KEYS[1], unpack(fields))

local touched = {}
for _ = 1, tonumber(take()) do
	touched[#touched + 1] = string.format('%.0f', now - math.max(0, tonumber(take())))
	touched[#touched + 1] = take()
end
if #touched > 0 then
	redis.call('ZADD', KEYS[2], 'XX', 'GT', unpack(touched))
end

local holds = tonumber(take())
if holds > 0 then
	local ended = redis.call('ZRANGEBYSCORE', KEYS[5], '-inf', string.format('%.0f', now), 'LIMIT', 0, 1000)
	for _, model in ipairs(ended) do
		redis.call('ZREM', KEYS[5], model)
		redis.call('HDEL', KEYS[6], model)
	end
end
for _ = 1, holds do
	local ms, model, who = tonumber(take()), take(), take()
	if ms > 0 then
		redis.call('ZADD', KEYS[5], string.format('%.0f', now + ms), model)
		redis.call('HSET', KEYS[6], model, who)
	else
		redis.call('ZREM', KEYS[5], model)
		redis.call('HDEL', KEYS[6], model)
	end
end

local models = tonumber(ARGV[4])
if redis.call('ZCARD', KEYS[2]) ~= models or redis.call('HLEN', KEYS[3]) ~= models then
	return {'RESYNC'}
end
-- No leader has that many under way on one node; the rest comes with a later beat.
local commands = redis.call('HGETALL', KEYS[4])
return {'OK', string.format('%.0f', now), unpack(commands, 1, math.min(#commands, 4000))}
