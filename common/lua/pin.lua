-- pin: adds or removes a pin and tells everybody.
--
-- KEYS  1 larder:pins
-- ARGV  1 changed channel  2 glob  3 how long in ms, "" for ever, or "remove"
--       4 the rest of the pin as JSON members: "by":"...","why":"..."
-- Returns {when it ends in ms, 0 for never} or, for remove, {1 if it was there}
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local answer
if ARGV[3] == 'remove' then
	answer = string.format('%.0f', redis.call('HDEL', KEYS[1], ARGV[2]))
else
	answer = ARGV[3] == '' and '0' or string.format('%.0f', now + tonumber(ARGV[3]))
	redis.call('HSET', KEYS[1], ARGV[2], '{"until_ms":' .. answer .. ',' .. ARGV[4] .. '}')
end
redis.call('PUBLISH', ARGV[1], 'pins')
return {answer}
