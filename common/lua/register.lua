-- register: what an agent found on its disks, whole or as differences.
-- A whole registration may come in several calls (Lua cannot unpack more than about 8,000 values):
-- until the last one the node is "loading" and gets no commands. A last use never goes backwards:
-- what Redis knew before is kept where it is later. Holds stay until beats tell them anew.
--
-- KEYS  1 larder:{N}  2 larder:{N}:lru  3 larder:{N}:size  4 larder:{N}:state  5 larder:{N}:hold
--       6 larder:{N}:lru:before (exists only during a registration)  7 larder:{N}:holders
-- ARGV  1 incarnation  2 first call of a whole registration (1 or 0)
--       3 last call of it, or differences (1 or 0)
--       then F and F pairs field, value for the node's hash
--       then P and P times: model, age in ms, "bytes generation source", status ("" for DOWNLOADED)
--       then D and D models that are gone
-- Returns {"OK", now in ms} or {"UNKNOWN"}: another agent or no registration, begin again
local SAME_USE_MS = 1000 -- an age that was rounded on its way does not count as a new use

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local now_text = string.format('%.0f', now)
local first, last = ARGV[2] == '1', ARGV[3] == '1'
local at = 4
local function take()
	at = at + 1
	return ARGV[at - 1]
end

if first then
	if redis.call('EXISTS', KEYS[2]) == 1 then
		redis.call('ZUNIONSTORE', KEYS[6], 2, KEYS[6], KEYS[2], 'AGGREGATE', 'MAX')
	end
	redis.call('UNLINK', KEYS[2], KEYS[3], KEYS[4])
	redis.call('HSET', KEYS[1], 'inc', ARGV[1], 'loading', '1', 'since', now_text)
elseif redis.call('HGET', KEYS[1], 'inc') ~= ARGV[1] then
	return {'UNKNOWN'}
end

local fields = {'hb', now_text}
for _ = 1, tonumber(take()) do
	fields[#fields + 1] = take()
	fields[#fields + 1] = take()
end
redis.call('HSET', KEYS[1], unpack(fields))

local moved = first -- models came or went
for _ = 1, tonumber(take()) do
	local model, age, size, status = take(), tonumber(take()), take(), take()
	if status == '' then
		local score = now - math.max(0, age)
		local before = redis.call('ZSCORE', KEYS[6], model) or redis.call('ZSCORE', KEYS[2], model)
		before = math.min(now, tonumber(before or 0))
		if before > score - SAME_USE_MS then
			score = before
		end
		moved = redis.call('ZADD', KEYS[2], string.format('%.0f', score), model) == 1 or moved
		redis.call('HSET', KEYS[3], model, size)
		redis.call('HDEL', KEYS[4], model)
	else
		moved = redis.call('ZREM', KEYS[2], model) == 1 or moved
		redis.call('HDEL', KEYS[3], model)
		redis.call('HSET', KEYS[4], model, status)
	end
end
for _ = 1, tonumber(take()) do
	local model = take()
	moved = redis.call('ZREM', KEYS[2], model) == 1 or moved
	redis.call('HDEL', KEYS[3], model)
	redis.call('HDEL', KEYS[4], model)
	redis.call('ZREM', KEYS[5], model)
	redis.call('HDEL', KEYS[7], model)
end
if moved then
	redis.call('HINCRBY', KEYS[1], 'inv', 1)
end
if last then
	redis.call('HDEL', KEYS[1], 'loading')
	redis.call('UNLINK', KEYS[6])
end
return {'OK', now_text}
