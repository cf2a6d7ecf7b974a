-- issue: delete commands of the leader for one node.
-- Checks that the leader is not an old one and that nothing about each model has changed since the
-- leader looked; then puts the command into the node's hash and publishes it.
--
-- KEYS  1 larder:{N}  2 larder:{N}:lru  3 larder:{N}:size  4 larder:{N}:hold  5 larder:{N}:cmd
--       6 larder:{N}:state
-- ARGV  1 wake channel  2 epoch  3 incarnation that the leader saw  4 time to live in ms
--       5 the longest time to live a live command can have, in ms
--       from 6 on, per model: id, model, last use that was seen, reason, force (1 or 0)
-- Returns {"OK", now in ms, outcome, "bytes generation", outcome, "bytes generation", ...}
--   outcome: issued, used (since), held, pending, gone
--      or {"UNKNOWN"}: no such node     {"INCARNATION"}: another agent than the leader saw
--      or {"LOADING"}: registering now  {"FENCED", epoch}: a later leader was here
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local epoch = tonumber(ARGV[2])
local state = redis.call('HMGET', KEYS[1], 'inc', 'loading', 'fence')
if not state[1] then
	return {'UNKNOWN'}
end
if epoch < (tonumber(state[3]) or 0) then
	return {'FENCED', state[3]}
end
if state[2] then
	return {'LOADING'}
end
if state[1] ~= ARGV[3] then
	return {'INCARNATION'}
end
redis.call('HSET', KEYS[1], 'fence', ARGV[2])

local deadline = string.format('%.0f', now + tonumber(ARGV[4]))
local longest = now + tonumber(ARGV[5])

-- A slot is free when it is empty, past its deadline, or holds what no leader would write.
local function pending(model)
	local command = redis.call('HGET', KEYS[5], model)
	local ends = command and tonumber(string.match(command, '^%S+ %d+ %x+ (%d+) %d+ %S+'))
	return ends and ends > now and ends <= longest
end

-- What may be deleted: a DOWNLOADED model, or by hand one that is in ERROR.
local function find(model, seen, reason)
	local score = redis.call('ZSCORE', KEYS[2], model)
	if score then
		return tonumber(score) <= tonumber(seen) and 'found' or 'used',
			redis.call('HGET', KEYS[3], model)
	end
	local status = redis.call('HGET', KEYS[6], model)
	if reason == 'manual' and status and string.sub(status, 1, 5) == 'ERROR' then
		return 'found', '0 0'
	end
	return 'gone', false
end

local answer, issued = {'OK', string.format('%.0f', now)}, false
for i = 6, #ARGV, 5 do
	local id, model, seen, reason, force = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3],
		ARGV[i + 4] == '1'
	local outcome, size = find(model, seen, reason)
	local generation = size and string.match(size, '^%d+ (%x+)%f[ %z]')
	if outcome == 'found' and not generation then
		outcome = 'gone'
	end
	if outcome == 'found' and not force and
	   (tonumber(redis.call('ZSCORE', KEYS[4], model) or 0)) > now then
		outcome = 'held'
	end
	if outcome == 'found' and pending(model) then
		outcome = 'pending'
	end
	if outcome == 'found' then
		redis.call('HSET', KEYS[5], model, table.concat({id, seen, generation, deadline,
			ARGV[2], reason, force and 'force' or nil}, ' '))
		outcome = 'issued'
		issued = true
	end
	answer[#answer + 1] = outcome
	answer[#answer + 1] = size or ''
end
if issued then
	redis.call('PUBLISH', ARGV[1], ARGV[2])
end
return answer
