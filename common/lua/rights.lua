-- rights: which commands the caller's user may not run. It runs none of them.
--
-- ARGV  commands with their arguments, words with blanks between them
-- Returns those that Redis would refuse, as they came; none where it cannot tell (before 7.0)
local refused = {}
if not redis.acl_check_cmd then
	return refused
end
for _, text in ipairs(ARGV) do
	local words = {}
	for word in text:gmatch('%S+') do
		words[#words + 1] = word
	end
	if not redis.acl_check_cmd(unpack(words)) then
		refused[#refused + 1] = text
	end
end
return refused
