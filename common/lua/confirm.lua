-- confirm: receipts of an agent. Each counts once, however often it is sent: receipts are numbered
-- per journal, and the node's hash keeps the last number.
--
-- KEYS  1 larder:{N}  2 larder:{N}:lru  3 larder:{N}:size  4 larder:{N}:cmd  5 larder:{N}:receipts
--       6 larder:{N}:hold  7 larder:{N}:state
-- ARGV  1 incarnation  2 journal  3 node  4 done channel
--       then per receipt: number, model, command id, outcome (deleted, gone, refused, failed), bytes
--       freed, why, reason of the command, epoch, last use in ms, how long it took in ms
-- Returns {"OK", how many were new} or {"UNKNOWN"}: register first
local RECEIPTS_KEPT = 1000
local PER_RECEIPT = 10

local call = redis.call
local state = call('HMGET', KEYS[1], 'inc', 'receipt')
if state[1] ~= ARGV[1] then
	return {'UNKNOWN'}
end
local journal, number = string.match(state[2] or '', '^(%x+):(%d+)$')
local last = journal == ARGV[2] and tonumber(number) or 0

-- A node answers many commands at once: what can be written for all of them together is.
local models, removed, ended = {}, {}, {}
local new, counts, freed = 0, {}, 0
for i = 5, #ARGV, PER_RECEIPT do
	local seq, model, id, outcome, bytes, why, reason, epoch, used, took = unpack(ARGV, i, i + 9)
	models[#models + 1] = model
	if tonumber(seq) > last then
		last = tonumber(seq)
		new = new + 1
		if outcome == 'deleted' or outcome == 'gone' then
			removed[#removed + 1] = model
		end
		counts[outcome] = (counts[outcome] or 0) + 1
		freed = freed + bytes
		call('XADD', KEYS[5], 'MAXLEN', '~', RECEIPTS_KEPT, '*', 'id', id, 'model', model,
			'outcome', outcome, 'bytes', bytes, 'why', why, 'reason', reason, 'epoch', epoch,
			'last_used_ms', used, 'took_ms', took)
	end
end

local commands = #models > 0 and call('HMGET', KEYS[4], unpack(models)) or {}
for i, command in ipairs(commands) do
	if command and string.match(command, '^%S+') == ARGV[5 + (i - 1) * PER_RECEIPT + 2] then
		ended[#ended + 1] = models[i]
	end
end
if #ended > 0 then
	call('HDEL', KEYS[4], unpack(ended))
end
if #removed > 0 then
	local left = call('ZREM', KEYS[2], unpack(removed))
	if left > 0 then
		call('HINCRBY', KEYS[1], 'n', -left)
	end
	call('HDEL', KEYS[3], unpack(removed))
	call('HDEL', KEYS[7], unpack(removed))
	call('ZREM', KEYS[6], unpack(removed))
	call('HINCRBY', KEYS[1], 'inv', 1)
end
for outcome, count in pairs(counts) do
	call('HINCRBY', KEYS[1], outcome, count)
end
if new > 0 then
	call('HINCRBY', KEYS[1], 'freed', string.format('%.0f', freed))
	call('HSET', KEYS[1], 'receipt', ARGV[2] .. ':' .. string.format('%.0f', last))
	call('PUBLISH', ARGV[4], ARGV[3])
end
return {'OK', new}
