-- Replaces states whose version is still the expected one.
-- KEYS[i]      the key of the i-th state; after the last, where there is one, that of the last token
-- ARGV[1]      the token of this request, no other's
-- ARGV[2]      the token that tells that nobody has swapped anything since before these states were
--              loaded ("" where somebody may have)
-- ARGV[3]      the expected versions one after another, 6 bytes big-endian each (0: there is none)
-- ARGV[3 + i]  the new version of the i-th state, 6 bytes big-endian, followed by the new state
-- Returns the token that was there if it is the one that tells: then all were replaced. Else, for
-- each state, false where it was replaced, or what is there instead; then the token that was there.
-- The token goes first: whatever happens to a request later, nobody overlooks that it was there.
local states = #ARGV - 3
local last = false
if #KEYS > states then
  last = redis.call('SET', KEYS[states + 1], ARGV[1], 'GET')
end
if last and last == ARGV[2] then
  local pairs = {}
  for i = 1, states do
    pairs[2 * i - 1] = KEYS[i]
    pairs[2 * i] = ARGV[3 + i]
  end
  redis.call('MSET', unpack(pairs))
  return last
end
local replies = {}
local none = string.rep('\0', 6)
for i = 1, states do
  local key = KEYS[i]
  local version = redis.call('GETRANGE', key, '0', '5')
  if version == '' then
    version = none
  end
  if version == string.sub(ARGV[3], 6 * i - 5, 6 * i) then
    redis.call('SET', key, ARGV[3 + i])
    replies[i] = false
  else
    replies[i] = redis.call('GET', key) or ''
  end
end
replies[states + 1] = last or ''
return replies
