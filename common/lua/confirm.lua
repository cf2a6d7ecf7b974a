-- confirm: receipts of an agent. Each counts once, however often it is sent: receipts are numbered
-- per journal, and the node's hash keeps the last number.
--
-- KEYS  1 larder:{N}  2 larder:{N}:lru  3 larder:{N}:size  4 larder:{N}:cmd  5 larder:{N}:receipts
--       6 larder:{N}:hold  7 larder:{N}:state  8 larder:{N}:holders
-- ARGV  1 incarnation  2 journal  3 node  4 done channel
--       then per receipt: number, model, command id, outcome (deleted, gone, refused, failed; or
--       refault: what was deleted is back), bytes freed, why, reason of the command, epoch, last use in ms, how long it took in ms
-- Returns {"OK", how many were new} or {"UNKNOWN"}: register first
local RECEIPTS_KEPT = 1000
local PER_RECEIPT = 10

if redis.call('HGET', KEYS[1], 'inc') ~= ARGV[1] then
	return {'UNKNOWN'}
end
local journal, number = string.match(redis.call('HGET', KEYS[1], 'receipt') or '', '^(%x+):(%d+)$')
local last = journal == ARGV[2] and tonumber(number) or 0
local new = 0

local function clear_command(model, id)
	local command = redis.call('HGET', KEYS[4], model)
	if command and string.match(command, '^%S+') == id then
		redis.call('HDEL', KEYS[4], model)
	end
end

for i = 5, #ARGV, PER_RECEIPT do
	local seq, model, id, outcome, bytes, why, reason, epoch, used, took = ARGV[i], ARGV[i + 1],
		ARGV[i + 2], ARGV[i + 3], ARGV[i + 4], ARGV[i + 5], ARGV[i + 6], ARGV[i + 7],
		ARGV[i + 8], ARGV[i + 9]
	clear_command(model, id)
	if tonumber(seq) > last then
		last = tonumber(seq)
		new = new + 1
		if outcome == 'deleted' or outcome == 'gone' then
			if redis.call('ZREM', KEYS[2], model) == 1 then
				redis.call('HINCRBY', KEYS[1], 'n', -1)
			end
			redis.call('HDEL', KEYS[3], model)
			redis.call('HDEL', KEYS[7], model)
			redis.call('ZREM', KEYS[6], model)
			redis.call('HDEL', KEYS[8], model)
			redis.call('HINCRBY', KEYS[1], 'inv', 1)
		end
		redis.call('HINCRBY', KEYS[1], outcome, 1)
		if outcome ~= 'refault' then
			redis.call('HINCRBY', KEYS[1], 'freed', bytes)
		end
		redis.call('XADD', KEYS[5], 'MAXLEN', '~', RECEIPTS_KEPT, '*', 'id', id, 'model', model,
			'outcome', outcome, 'bytes', bytes, 'why', why, 'reason', reason, 'epoch', epoch,
			'last_used_ms', used, 'took_ms', took)
	end
end
if new > 0 then
	redis.call('HSET', KEYS[1], 'receipt', ARGV[2] .. ':' .. string.format('%.0f', last))
	redis.call('PUBLISH', ARGV[4], ARGV[3])
end
return {'OK', new}
