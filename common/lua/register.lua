-- register: what an agent found on its disks, whole or as differences.
-- A whole registration may come in several calls: until the last one the node is "loading" and gets
-- no commands. It has an incarnation of its own, so that nothing that was said before it, and comes
-- late, is taken for a part of it. It replaces size and state, whatever stands there; holds stay, if
-- they are holds, until beats tell them anew. A last use never goes backwards: what Redis knew
-- before is kept where it is later. An error has changed nothing.
--
-- When Redis' clock has jumped, all that it knew is on another clock: a whole registration takes it
-- along with its first call when the jump was forward, and for just used when it was back.
--
-- KEYS  1 larder:{N}  2 larder:{N}:lru  3 larder:{N}:size  4 larder:{N}:state  5 larder:{N}:hold
--       6 larder:{N}:lru:before (exists only during a registration)  7 larder:{N}:holders
-- ARGV  1 incarnation  2 first call of a whole registration (1 or 0)
--       3 last call of it, or differences (1 or 0)
--       4 what the agent takes for Redis' clock, in ms; 0 when it does not know
--       5 the highest epoch that it has ever seen: no older one may issue commands that it refuses,
--         even when Redis has lost the fence; not taken from beyond what Redis' clock can have been
--       then F and F pairs field, value for the node's hash
--       then P and P times: model, age in ms, "bytes generation source", status ("" for DOWNLOADED)
--       then D and D models that are gone
-- Returns {"OK", now in ms} or {"UNKNOWN"}: another agent or no registration, begin again
--      or {"CLOCK"}: Redis' clock has jumped since the agent heard it; begin again
local SAME_USE_MS = 1000 -- an age that was rounded on its way does not count as a new use
local FIELDS_MAX = 3000 -- unpack takes less than 8,000 values
local NUMBER_MAX = 2 ^ 63
local JUMP_MS = 60000
local ZADD_MODELS = 1000
-- Epochs are times of Redis' clock, which may have been ahead. None that an agent names may be so
-- high that leaders run out of higher ones.
local EPOCH_AHEAD_MS = 100 * 365 * 86400000

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local now_text = string.format('%.0f', now)
local first, last = ARGV[2] == '1', ARGV[3] == '1'

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

local heard = take_number(0)
local jump = heard > 0 and math.abs(now - heard) > JUMP_MS and now - heard or 0
local epoch = take_number(0)
local fields = {'hb', now_text}
for _ = 1, take_number(0, FIELDS_MAX) do
	fields[#fields + 1] = take()
	fields[#fields + 1] = take()
end
local found, gone = {}, {}
for i = 1, take_number(0) do
	found[i] = {model = take(), age = math.max(0, take_number()), size = take(),
		status = take()}
end
for i = 1, take_number(0) do
	gone[i] = take()
end
if at ~= #ARGV + 1 then
	error('there are more arguments than were announced')
end
local state = redis.call('HMGET', KEYS[1], 'inc', 'inv', 'fence')
local known = redis.call('ZCARD', KEYS[2])
redis.call('ZCARD', KEYS[6])
if not first then
	if state[1] ~= ARGV[1] then
		return {'UNKNOWN'}
	end
	if jump ~= 0 then
		return {'CLOCK'}
	end
	-- Errors when they are of another type.
	redis.call('HLEN', KEYS[3])
	redis.call('HLEN', KEYS[4])
	redis.call('ZCARD', KEYS[5])
	redis.call('HLEN', KEYS[7])
end

-- To be called once after a jump: what is moved twice would look younger than it is.
local function move_uses_before(ms)
	local list = redis.call('ZRANGEBYSCORE', KEYS[6], '-inf', '+inf', 'WITHSCORES')
	for i = 2, #list, 2 do
		list[i - 1], list[i] = string.format('%.0f', math.min(now, tonumber(list[i]) + ms)), list[i - 1]
	end
	for i = 1, #list, 2 * ZADD_MODELS do
		redis.call('ZADD', KEYS[6], unpack(list, i, math.min(#list, i + 2 * ZADD_MODELS - 1)))
	end
end

if epoch > (tonumber(state[3]) or 0) and epoch <= now + EPOCH_AHEAD_MS then
	fields[#fields + 1] = 'fence'
	fields[#fields + 1] = string.format('%.0f', epoch)
end
redis.call('HSET', KEYS[1], unpack(fields))
if first then
	redis.call('HSET', KEYS[1], 'inc', ARGV[1], 'loading', '1', 'since', now_text)
	if known > 0 then
		redis.call('ZUNIONSTORE', KEYS[6], 2, KEYS[6], KEYS[2], 'AGGREGATE', 'MAX')
	end
	if jump > 0 then
		move_uses_before(jump)
	end
	redis.call('UNLINK', KEYS[2], KEYS[3], KEYS[4])
	for key, kind in pairs({[KEYS[5]] = 'zset', [KEYS[7]] = 'hash'}) do
		if redis.call('TYPE', key).ok ~= kind then
			redis.call('UNLINK', key)
		end
	end
end

local moved = first -- models came or went
for _, new in ipairs(found) do
	if new.status == '' then
		local score = now - new.age
		local before = redis.call('ZSCORE', KEYS[6], new.model) or
			redis.call('ZSCORE', KEYS[2], new.model)
		before = math.min(now, tonumber(before or 0))
		if before > score - SAME_USE_MS then
			score = before
		end
		moved = redis.call('ZADD', KEYS[2], string.format('%.0f', score), new.model) == 1 or moved
		redis.call('HSET', KEYS[3], new.model, new.size)
		redis.call('HDEL', KEYS[4], new.model)
	else
		moved = redis.call('ZREM', KEYS[2], new.model) == 1 or moved
		redis.call('HDEL', KEYS[3], new.model)
		redis.call('HSET', KEYS[4], new.model, new.status)
	end
end
for _, model in ipairs(gone) do
	moved = redis.call('ZREM', KEYS[2], model) == 1 or moved
	redis.call('HDEL', KEYS[3], model)
	redis.call('HDEL', KEYS[4], model)
	redis.call('ZREM', KEYS[5], model)
	redis.call('HDEL', KEYS[7], model)
end
-- Numbers of the inventory come from the clock: one that a reader has seen does not come back for
-- another inventory, even when Redis has lost it meanwhile.
if moved then
	local now_us = time[1] * 1000000 + time[2]
	local inventory = (tonumber(state[2]) or 0) + 1
	if not (inventory > now_us and inventory < 2 ^ 53) then
		inventory = now_us
	end
	redis.call('HSET', KEYS[1], 'inv', string.format('%.0f', inventory))
end
if last then
	redis.call('HDEL', KEYS[1], 'loading')
	redis.call('UNLINK', KEYS[6])
end
return {'OK', now_text}
