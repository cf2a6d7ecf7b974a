-- issue: delete commands of the leader for one node.
-- Checks that the leader is not an old one and that nothing about each model has changed since the
-- leader looked; then puts the command into the node's hash and publishes it. An error has changed
-- nothing.
--
-- KEYS  1 larder:{N}  2 larder:{N}:lru  3 larder:{N}:size  4 larder:{N}:hold  5 larder:{N}:cmd
--       6 larder:{N}:state
-- ARGV  1 wake channel  2 epoch  3 incarnation that the leader saw  4 time to live in ms
--       5 the longest time to live a live command can have, in ms
--       from 6 on, per model: id, model, last use that was seen, reason, force (1 or 0)
-- Returns {"OK", now in ms, outcome, "bytes generation", outcome, "bytes generation", ...}
--   outcome: issued, used (since), held, pending, gone
--      or {"UNKNOWN"}: no such node     {"INCARNATION"}: another registration than the leader saw
--      or {"LOADING"}: registering now  {"FENCED", epoch}: a later leader was here
local PER_MODEL = 5
local UNPACKED = 4000 -- values at a time; 8,000 are too many
local READ = 1000 -- models at a time
local REASONS = {time_threshold = true, count_limit = true, disk_space = true, manual = true}

local call = redis.call
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- Everything is read and checked first: there is no way back from a write.
local function check(right, what, text)
	if not right then
		error(what .. ' is not one that is allowed: ' .. string.sub(text or '', 1, 40))
	end
end
local function check_whole(text, what) -- a number that Lua holds exactly
	check(text and #text < 17 and text:find('^%d+$') and tonumber(text) < 2 ^ 53, what, text)
	return tonumber(text)
end

local epoch = check_whole(ARGV[2], 'the epoch')
local deadline = string.format('%.0f', now + check_whole(ARGV[4], 'the time to live'))
local longest = now + check_whole(ARGV[5], 'the longest time to live')
check((#ARGV - 5) % PER_MODEL == 0, 'the number of arguments', #ARGV .. '')
for i = 6, #ARGV, PER_MODEL do
	local force, reason = ARGV[i + 4], ARGV[i + 3]
	check(ARGV[i]:find('^[%w.-]+$'), 'the id', ARGV[i])
	check_whole(ARGV[i + 2], 'the last use')
	check(REASONS[reason], 'the reason', reason)
	check(force == '0' or force == '1' and reason == 'manual', 'force', force)
end
local state = call('HMGET', KEYS[1], 'inc', 'loading', 'fence')
if not state[1] then
	return {'UNKNOWN'}
end
if epoch < check_whole(state[3] or '0', 'the fence of the node') then
	return {'FENCED', state[3]}
end
if state[2] then
	return {'LOADING'}
end
if state[1] ~= ARGV[3] then
	return {'INCARNATION'}
end

-- A slot is free when it is empty, past its deadline, or holds what no leader would write.
local function pending(command)
	local ends = command and tonumber(string.match(command, '^%S+ %d+ %x+ (%d+) %d+ %S+'))
	return ends and ends > now and ends <= longest
end

-- What may be deleted: a DOWNLOADED model, or by hand one that is in ERROR.
local function find(model, score, size, seen, reason)
	if score then
		return tonumber(score) <= tonumber(seen) and 'found' or 'used', size
	end
	local status = call('HGET', KEYS[6], model)
	if reason == 'manual' and status and string.sub(status, 1, 5) == 'ERROR' then
		return 'found', '0 0'
	end
	return 'gone', false
end

-- What Redis knows of the models from argument `first` on, by few calls: each has its price.
local scores, sizes, holds, slots
local function read(first)
	local models = {}
	for i = first, math.min(first + READ * PER_MODEL - 1, #ARGV), PER_MODEL do
		models[#models + 1] = ARGV[i + 1]
	end
	scores = call('ZMSCORE', KEYS[2], unpack(models))
	sizes = call('HMGET', KEYS[3], unpack(models))
	holds = call('ZMSCORE', KEYS[4], unpack(models))
	slots = call('HMGET', KEYS[5], unpack(models))
end

local written = ' ' .. deadline .. ' ' .. ARGV[2] .. ' '
local answer, commands, taken = {'OK', string.format('%.0f', now)}, {}, {}
for i = 6, #ARGV, PER_MODEL do
	local id, model, seen, reason, force = unpack(ARGV, i, i + 4)
	local at = (i - 6) / PER_MODEL % READ + 1
	if at == 1 then
		read(i)
	end
	local outcome, size = find(model, scores[at], sizes[at], seen, reason)
	local generation = size and (string.match(size, '^%d+ (%x+)$') or
		string.match(size, '^%d+ (%x+) %l+$'))
	if outcome == 'found' and not generation then
		outcome = 'gone'
	end
	if outcome == 'found' and force ~= '1' and tonumber(holds[at] or 0) > now then
		outcome = 'held'
	end
	if outcome == 'found' and (taken[model] or pending(slots[at])) then
		outcome = 'pending'
	end
	if outcome == 'found' then
		outcome = 'issued'
		taken[model] = true
		commands[#commands + 1] = model
		commands[#commands + 1] = id .. ' ' .. seen .. ' ' .. generation .. written .. reason ..
			(force == '1' and ' force' or '')
	end
	answer[#answer + 1] = outcome
	answer[#answer + 1] = size or ''
end

call('HSET', KEYS[1], 'fence', ARGV[2])
for i = 1, #commands, UNPACKED do
	call('HSET', KEYS[5], unpack(commands, i, math.min(i + UNPACKED - 1, #commands)))
end
if #commands > 0 then
	call('PUBLISH', ARGV[1], ARGV[2])
end
return answer
