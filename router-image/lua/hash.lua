-- Hashes text eight bytes at a time: short, and good enough to spread prefixes over engines and over per cents.

local bit, ffi = require("bit"), require("ffi")

local band, bxor, rshift, tohex = bit.band, bit.bxor, bit.rshift, bit.tohex

local WORDS, BYTES = ffi.typeof("const uint64_t *"), ffi.typeof("const uint8_t *")
-- Odd, with as many bits on as off (2^64 by the golden ratio).
local FACTOR = 0x9e3779b97f4a7c15ULL

-- A product's low half knows nothing of the high halves of its factors: they are folded in.
local function mixed(h, word)
  h = bxor(h, word) * FACTOR
  return bxor(h, rshift(h, 32))
end

-- Eight hexadecimal digits.
return function(text)
  local h, whole = FACTOR, rshift(#text, 3)
  local words, bytes = ffi.cast(WORDS, text), ffi.cast(BYTES, text)
  for i = 0, whole - 1 do h = mixed(h, words[i]) end
  for i = whole * 8, #text - 1 do h = mixed(h, bytes[i]) end
  return tohex(tonumber(band(mixed(h, #text), 0xffffffffULL)))
end
