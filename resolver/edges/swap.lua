-- Replaces states whose version is still the expected one.
-- KEYS[i]      the key of the i-th state; after the last, where there is one, that of the last token
-- ARGV[1]      the token of this request, no other's
-- ARGV[2]      the expected versions one after another, 6 bytes big-endian each (0: there is none)
-- ARGV[2 + i]  the new version of the i-th state, 6 bytes big-endian, followed by the new state
-- Returns, for each state, false where it was replaced, or what is there instead; then the token that
-- was there.
-- The token goes first: whatever happens to a request later, nobody overlooks that it was there.
local states = #ARGV - 2
local last = false
if #KEYS > states then
  last = redis.call('SET', KEYS[states + 1], ARGV[1], 'GET')
end
local replies = {}
local none = string.rep('\0', 6)
for i = 1, states do
  local key = KEYS[i]
  local version = redis.call('GETRANGE', key, '0', '5')
  if version == '' then
    version = none
  end
  if version == string.sub(ARGV[2], 6 * i - 5, 6 * i) then
    redis.call('SET', key, ARGV[2 + i])
    replies[i] = false
  else
    replies[i] = redis.call('GET', key) or ''
  end
end
replies[states + 1] = last or ''
return replies
