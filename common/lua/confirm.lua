-- confirm: receipts of an agent. Each counts once, however often it is sent: receipts are numbered
-- per journal, and the node's hash keeps the last number. An error has changed nothing.
--
-- KEYS  1 larder:{N}  2 larder:{N}:lru  3 larder:{N}:size  4 larder:{N}:cmd  5 larder:{N}:receipts
--       6 larder:{N}:hold  7 larder:{N}:state
-- ARGV  1 incarnation  2 journal  3 node  4 done channel
--       then per receipt: number, model, command id, outcome (deleted, gone, refused, failed), bytes
--       freed, why, reason of the command, epoch, last use in ms, how long it took in ms
-- Returns {"OK", how many were new} or {"UNKNOWN"}: register first
local RECEIPTS_KEPT = 1000
local PER_RECEIPT = 10
local LEAVES_THE_DISK = {deleted = true, gone = true, refused = false, failed = false}
local COUNTERS = {'deleted', 'gone', 'refused', 'failed', 'freed'}

local time = redis.call('TIME')

-- Everything is read and checked first: there is no way back from a write.
local function check(right, what, text)
	if not right then
		error(what .. ' is not one that is allowed: ' .. string.sub(text or '', 1, 40))
	end
end

check(ARGV[2] and ARGV[2]:find('^%x+$'), 'the journal', ARGV[2])
check(#ARGV >= 4 and (#ARGV - 4) % PER_RECEIPT == 0, 'the number of arguments', #ARGV .. '')
for i = 5, #ARGV, PER_RECEIPT do
	check(ARGV[i]:find('^%d+$') and tonumber(ARGV[i]) < 2 ^ 53, 'the number of a receipt', ARGV[i])
	check(LEAVES_THE_DISK[ARGV[i + 3]] ~= nil, 'the outcome', ARGV[i + 3])
	check(#ARGV[i + 4] < 17 and ARGV[i + 4]:find('^%d+$'), 'freed bytes', ARGV[i + 4])
end
local state = redis.call('HMGET', KEYS[1], 'inc', 'receipt', 'inv', unpack(COUNTERS))
if state[1] ~= ARGV[1] then
	return {'UNKNOWN'}
end
for i, counter in ipairs(COUNTERS) do
	local count = state[i + 3] or '0'
	check(#count < 19 and count:find('^%d+$'), counter .. ' of the node', count)
end
local models = redis.call('ZCARD', KEYS[2])
-- Errors when they are of another type.
redis.call('HLEN', KEYS[3])
redis.call('HLEN', KEYS[4])
redis.call('XLEN', KEYS[5])
redis.call('ZCARD', KEYS[6])
redis.call('HLEN', KEYS[7])

local journal, number = string.match(state[2] or '', '^(%x+):(%d+)$')
local last = journal == ARGV[2] and tonumber(number) or 0
local new, left = 0, false

local function clear_command(model, id)
	local command = redis.call('HGET', KEYS[4], model)
	if command and string.match(command, '^%S+') == id then
		redis.call('HDEL', KEYS[4], model)
	end
end

for i = 5, #ARGV, PER_RECEIPT do
	local seq, model, id, outcome, bytes, why, reason, epoch, used, took = unpack(ARGV, i, i + 9)
	clear_command(model, id)
	if tonumber(seq) > last then
		last = tonumber(seq)
		new = new + 1
		redis.call('XADD', KEYS[5], 'MAXLEN', '~', RECEIPTS_KEPT, '*', 'id', id, 'model', model,
			'outcome', outcome, 'bytes', bytes, 'why', why, 'reason', reason, 'epoch', epoch,
			'last_used_ms', used, 'took_ms', took)
		redis.call('HINCRBY', KEYS[1], outcome, 1)
		redis.call('HINCRBY', KEYS[1], 'freed', bytes)
		if LEAVES_THE_DISK[outcome] then
			left = true
			models = models - redis.call('ZREM', KEYS[2], model)
			redis.call('HDEL', KEYS[3], model)
			redis.call('HDEL', KEYS[7], model)
			redis.call('ZREM', KEYS[6], model)
		end
	end
end
if left then
	-- As register.lua numbers inventories.
	local now_us = time[1] * 1000000 + time[2]
	local inventory = (tonumber(state[3]) or 0) + 1
	if not (inventory > now_us and inventory < 2 ^ 53) then
		inventory = now_us
	end
	redis.call('HSET', KEYS[1], 'n', models, 'inv', string.format('%.0f', inventory))
end
if new > 0 then
	redis.call('HSET', KEYS[1], 'receipt', ARGV[2] .. ':' .. string.format('%.0f', last))
	redis.call('PUBLISH', ARGV[4], ARGV[3])
end
return {'OK', new}
