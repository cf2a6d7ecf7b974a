-- confirm: receipts of an agent. Each counts once, however often it is sent: receipts are numbered
-- per journal, and the node's hash keeps the last number. An error has changed nothing.
--
-- KEYS  1 larder:{N}  2 larder:{N}:lru  3 larder:{N}:size  4 larder:{N}:cmd  5 larder:{N}:receipts
--       6 larder:{N}:hold  7 larder:{N}:state  8 larder:{N}:holders
-- ARGV  1 incarnation  2 journal  3 node  4 done channel
--       then per receipt: number, model, command id, outcome (deleted, gone, refused, failed; or
--       refault: what was deleted is back), bytes freed, why, reason of the command, epoch, last use
--       in ms, how long it took in ms
-- Returns {"OK", how many were new} or {"UNKNOWN"}: register first
local RECEIPTS_KEPT = 1000
local PER_RECEIPT = 10
local LEAVES_THE_DISK = {deleted = true, gone = true, refused = false, failed = false,
	refault = false}
local COUNTERS = {'deleted', 'gone', 'refused', 'failed', 'refault', 'freed'}

local call = redis.call
local time = call('TIME')

-- Everything is read and checked first: there is no way back from a write.
local function check(right, what, text)
	if not right then
		error(what .. ' is not one that is allowed: ' .. string.sub(text or '', 1, 40))
	end
end
local function whole(text, what) -- a number that Lua holds exactly
	local number = text and text:find('^%d+$') and tonumber(text)
	check(number and number < 2 ^ 53, what, text)
	return number
end

check(ARGV[2] and ARGV[2]:find('^%x+$'), 'the journal', ARGV[2])
check(#ARGV >= 4 and (#ARGV - 4) % PER_RECEIPT == 0, 'the number of arguments', #ARGV .. '')
local state = call('HMGET', KEYS[1], 'inc', 'receipt', 'inv', unpack(COUNTERS))
local journal, number = string.match(state[2] or '', '^(%x+):(%d+)$')
local last = journal == ARGV[2] and tonumber(number) or 0

-- A node answers many commands at once: what can be written for all of them together is.
local models, fresh, removed, ended, counts = {}, {}, {}, {}, {}
for i = 5, #ARGV, PER_RECEIPT do
	local seq, outcome = whole(ARGV[i], 'the number of a receipt'), ARGV[i + 3]
	local bytes = whole(ARGV[i + 4], 'freed bytes')
	check(LEAVES_THE_DISK[outcome] ~= nil, 'the outcome', outcome)
	models[#models + 1] = ARGV[i + 1]
	if seq > last then
		last = seq
		fresh[#fresh + 1] = i
		counts[outcome] = (counts[outcome] or 0) + 1
		-- What a refault names was counted when it came free.
		if outcome ~= 'refault' then
			counts.freed = (counts.freed or 0) + bytes
		end
		if LEAVES_THE_DISK[outcome] then
			removed[#removed + 1] = ARGV[i + 1]
		end
	end
end
if state[1] ~= ARGV[1] then
	return {'UNKNOWN'}
end
for i, counter in ipairs(COUNTERS) do
	local count = state[i + 3]
	check(not count or #count < 19 and count:find('^%d+$'), counter .. ' of the node', count)
end
check((counts.freed or 0) < 2 ^ 53, 'the sum of freed bytes')
local downloaded = call('ZCARD', KEYS[2])
-- Errors when they are of another type.
call('HLEN', KEYS[3])
call('XLEN', KEYS[5])
call('ZCARD', KEYS[6])
call('HLEN', KEYS[7])
call('HLEN', KEYS[8])
local commands = #models > 0 and call('HMGET', KEYS[4], unpack(models)) or {}
for i, command in ipairs(commands) do
	if command and string.match(command, '^%S+') == ARGV[5 + (i - 1) * PER_RECEIPT + 2] then
		ended[#ended + 1] = models[i]
	end
end

-- What makes room comes first: then Redis takes the rest also when it has no memory left.
if #ended > 0 then
	call('HDEL', KEYS[4], unpack(ended))
end
for _, i in ipairs(fresh) do
	local _, model, id, outcome, bytes, why, reason, epoch, used, took = unpack(ARGV, i, i + 9)
	call('XADD', KEYS[5], 'MAXLEN', '~', RECEIPTS_KEPT, '*', 'id', id, 'model', model, 'outcome',
		outcome, 'bytes', bytes, 'why', why, 'reason', reason, 'epoch', epoch, 'last_used_ms',
		used, 'took_ms', took)
end
if #removed > 0 then
	-- Inventories are numbered as in register.lua.
	local now_us = time[1] * 1000000 + time[2]
	local inventory = (tonumber(state[3]) or 0) + 1
	if not (inventory > now_us and inventory < 2 ^ 53) then
		inventory = now_us
	end
	downloaded = downloaded - call('ZREM', KEYS[2], unpack(removed))
	call('HDEL', KEYS[3], unpack(removed))
	call('HDEL', KEYS[7], unpack(removed))
	call('ZREM', KEYS[6], unpack(removed))
	call('HDEL', KEYS[8], unpack(removed))
	call('HSET', KEYS[1], 'n', downloaded, 'inv', string.format('%.0f', inventory))
end
for counter, count in pairs(counts) do
	call('HINCRBY', KEYS[1], counter, string.format('%.0f', count))
end
if #fresh > 0 then
	call('HSET', KEYS[1], 'receipt', ARGV[2] .. ':' .. string.format('%.0f', last))
	call('PUBLISH', ARGV[4], ARGV[3])
end
return {'OK', #fresh}
