-- pin: adds or removes a pin and tells everybody. An error has changed nothing.
--
-- KEYS  1 larder:pins
-- ARGV  1 changed channel  2 glob  3 how long in ms, "" for ever, or "remove"
--       4 the rest of the pin as JSON members: "by":"...","why":"..."
-- Returns {when it ends in ms, 0 for never} or, for remove, {1 if it was there}
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local glob, how_long, members = ARGV[2], ARGV[3], ARGV[4]
local answer
if #ARGV ~= 4 then
	error('there must be four arguments')
end
if how_long == 'remove' then
	answer = string.format('%.0f', redis.call('HDEL', KEYS[1], glob))
else
	if how_long ~= '' and not (#how_long < 16 and string.find(how_long, '^%d+$')) then
		error('how long is not a number of ms: ' .. string.sub(how_long, 1, 40))
	end
	answer = how_long == '' and '0' or string.format('%.0f', now + tonumber(how_long))
	redis.call('HSET', KEYS[1], glob, '{"until_ms":' .. answer .. ',' .. members .. '}')
end
redis.call('PUBLISH', ARGV[1], 'pins')
return {answer}
