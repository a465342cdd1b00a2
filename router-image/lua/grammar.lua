-- Checks JSON byte by byte: a table says which state follows which, as in a lexer made by a generator. One flat loop
-- and no patterns, because that is what LuaJIT compiles to a few instructions per byte whatever a client sends.

local bit, ffi = require("bit"), require("ffi")

local band, bnot, bor, bxor = bit.band, bit.bnot, bit.bor, bit.bxor
local byte, find = string.byte, string.find

local grammar = {}

grammar.MAX_DEPTH = 128

local MAX_DEPTH = grammar.MAX_DEPTH

-- After so many bytes of a string without an escape, the next are passed over eight at a time.
local SHORT = 16

-- Classes of bytes that the grammar tells apart; those of none are allowed nowhere.
local class_of, classes = ffi.new("uint8_t[256]"), {}

local function add_class(name, bytes)
  classes[#classes + 1] = name
  classes[name] = #classes
  for i = 1, #bytes do
    class_of[byte(bytes, i)] = #classes
  end
end

add_class("other", "")
for c = 32, 255 do class_of[c] = classes.other end
-- Every Lua string has a zero byte after its end.
add_class("end", "\0")
add_class("blank", " ")
add_class("white", "\t\n\r")
add_class("1-9", "123456789")
add_class("hex", "cdABCDF")
for c in ('{}[]:,"\\/+-.0abeEflnrstu'):gmatch(".") do add_class(c, c) end

-- A state is a multiple of CLASSES, so that it makes an index with a class by a bitwise or. What the state stands in
-- is a part of it: an array, an object, or nothing that is known.
local CLASSES = 32
local IN_ARRAY, IN_OBJECT, IN_NOTHING, FIRST_ACTION = 0, 2048, 4096, 8192
local state, action = {}, {}

local function number_names(numbers, base, names)
  local number = base
  for name in names:gmatch("%S+") do
    numbers[name] = number
    number = number + CLASSES
  end
end

number_names(state, 0, [[
  value array object key colon after escape u1 u2 u3 u4 key_text key_escape key_u1 key_u2 key_u3 key_u4
  minus zero digits point decimals e e_sign exponent t tr tru f fa fal fals n nu nul
  text1 text2 text3 text4 text5 text6 text7 text8 text9 text10 text11 text12 text13 text14 text15 text16
]])
number_names(action, FIRST_ACTION + IN_NOTHING, "close long_text done wrong")
-- An action that opens says what it opens and the state there.
action.open_array = FIRST_ACTION + IN_ARRAY + state.value
action.open_object = FIRST_ACTION + IN_OBJECT + state.key

local next_of = ffi.new("uint16_t[6144]")
for i = 0, 6143 do next_of[i] = action.wrong end

-- In what `place`, reading any of the classes in any of the states (lists of words) leads to the state or action.
local function rule(place, froms, names, to)
  for from in froms:gmatch("%S+") do
    for name in names:gmatch("%S+") do
      next_of[bor(place, state[from], classes[name])] = state[to] and bor(place, state[to]) or action[to]
    end
  end
end

local HEX = "0 1-9 a b e f E hex"
local WHOLE_NUMBER = "zero digits decimals exponent"

-- What may follow a backslash leads to the state `inside`.
local function escape_rules(place, prefix, inside)
  rule(place, prefix .. "escape", '" \\ / b f n r t', inside)
  rule(place, prefix .. "escape", "u", prefix .. "u1")
  for digit = 1, 3 do rule(place, prefix .. "u" .. digit, HEX, prefix .. "u" .. digit + 1) end
  rule(place, prefix .. "u4", HEX, inside)
end

-- In a state of a string, whose plain bytes lead to `onward`.
local function text_rules(place, inside, onward, escape, closed)
  for _, class in ipairs(classes) do
    if class ~= "white" and class ~= "end" then rule(place, inside, class, onward) end
  end
  rule(place, inside, '"', closed)
  rule(place, inside, "\\", escape)
end

for _, place in ipairs({ IN_ARRAY, IN_OBJECT, IN_NOTHING }) do
  for blank in ("value array object key colon after"):gmatch("%S+") do
    rule(place, blank, "blank white", blank)
  end
  -- A container counts as opened when something is found in it: an empty one is left as it was entered.
  rule(place, "value", "[", "array")
  rule(place, "value", "{", "object")
  rule(place, "array", '{ [ " - 0 1-9 t f n', "open_array")
  rule(place, "object", '"', "open_object")
  rule(place, "array", "]", "after")
  rule(place, "object", "}", "after")

  rule(place, "value", '"', "text1")
  for n = 1, SHORT do
    text_rules(place, "text" .. n, n < SHORT and "text" .. n + 1 or "long_text", "escape", "after")
  end
  escape_rules(place, "", "text1")

  rule(place, "value", "-", "minus")
  rule(place, "value minus", "0", "zero")
  rule(place, "value minus", "1-9", "digits")
  rule(place, "digits", "0 1-9", "digits")
  rule(place, "zero digits", ".", "point")
  rule(place, "point decimals", "0 1-9", "decimals")
  rule(place, "zero digits decimals", "e E", "e")
  rule(place, "e", "+ -", "e_sign")
  rule(place, "e e_sign exponent", "0 1-9", "exponent")
  rule(place, WHOLE_NUMBER, "blank white", "after")

  rule(place, "value", "t", "t")
  rule(place, "t", "r", "tr")
  rule(place, "tr", "u", "tru")
  rule(place, "value", "f", "f")
  rule(place, "f", "a", "fa")
  rule(place, "fa", "l", "fal")
  rule(place, "fal", "s", "fals")
  rule(place, "tru fals", "e", "after")
  rule(place, "value", "n", "n")
  rule(place, "n", "u", "nu")
  rule(place, "nu", "l", "nul")
  rule(place, "nul", "l", "after")
end

rule(IN_ARRAY, "after " .. WHOLE_NUMBER, ",", "value")
rule(IN_ARRAY, "after " .. WHOLE_NUMBER, "]", "close")
rule(IN_OBJECT, "key", '"', "key_text")
text_rules(IN_OBJECT, "key_text", "key_text", "key_escape", "colon")
escape_rules(IN_OBJECT, "key_", "key_text")
rule(IN_OBJECT, "colon", ":", "value")
rule(IN_OBJECT, "after " .. WHOLE_NUMBER, ",", "key")
rule(IN_OBJECT, "after " .. WHOLE_NUMBER, "}", "close")
rule(IN_NOTHING, "after " .. WHOLE_NUMBER, ", ] } end", "done")

local BYTES, WORD = ffi.typeof("const uint8_t *"), ffi.typeof("const uint64_t *")
local ONES, TOPS = 0x0101010101010101ULL, 0x8080808080808080ULL
local QUOTES, BACKSLASHES, BLANKS = ONES * 34, ONES * 92, ONES * 32

-- The first index from `i` on at which one of the next 8 bytes may be a quote, a backslash or a control character.
-- Eight bytes are compared at a time: subtracting 1 from a byte of 0 (or 32 from a smaller one) turns its top bit on.
-- `bytes`: of the text, the first at 1; `last`: from where on there are no more eight bytes.
local function leap(bytes, i, last)
  while i <= last do
    local word = ffi.cast(WORD, bytes + i)[0]
    local quote, backslash = bxor(word, QUOTES), bxor(word, BACKSLASHES)
    local found = bor(
      band(quote - ONES, bnot(quote)), band(backslash - ONES, bnot(backslash)), band(word - BLANKS, bnot(word))
    )
    if band(found, TOPS) ~= 0 then break end
    i = i + 8
  end
  return i
end

local CLOSE, LONG_TEXT, DONE = action.close, action.long_text, action.done
local AFTER, TEXT, ANY_PLACE = state.after, state.text1, bor(IN_OBJECT, IN_NOTHING)

-- What the open containers are, by depth.
local place_at = ffi.new("uint16_t[256]")

-- Goes on from `i` in state `now` until the value inside of `outer` containers ends; returns the index of what follows.
local function run(s, i, now, depth, outer)
  -- The zero byte after the end leads out of every state, so nothing beyond it is read.
  local bytes, last = ffi.cast(BYTES, s) - 1, #s - 7
  place_at[outer] = IN_NOTHING
  while true do
    local following = next_of[bor(now, class_of[bytes[i]])]
    i = i + 1
    while following < FIRST_ACTION do
      now = following
      following = next_of[bor(now, class_of[bytes[i]])]
      i = i + 1
    end
    if following < CLOSE then
      if depth == MAX_DEPTH then return nil end
      depth = depth + 1
      place_at[depth] = band(following, IN_OBJECT)
      now = next_of[bor(following - FIRST_ACTION, class_of[bytes[i - 1]])]
    elseif following == CLOSE then
      depth = depth - 1
      now = bor(AFTER, place_at[depth])
    elseif following == LONG_TEXT then
      i, now = leap(bytes, i, last), bor(band(now, ANY_PLACE), TEXT)
    elseif following == DONE then
      return i - 1
    else
      return nil
    end
  end
end

-- Checks the value at `i`, which is inside of `depth` containers. Returns the index of what follows it, which is no
-- blank; nil when it is not JSON.
function grammar.skip(s, i, depth)
  return run(s, i, IN_NOTHING + state.value, depth, depth)
end

-- Checks the rest of the object at `depth`, of which the next key is at `i`; returns the index of what follows it.
function grammar.rest_of_object(s, i, depth)
  place_at[depth] = IN_OBJECT
  return run(s, i, IN_OBJECT + state.key, depth, depth - 1)
end

-- The same for an array and its next item.
function grammar.rest_of_array(s, i, depth)
  place_at[depth] = IN_ARRAY
  return run(s, i, IN_ARRAY + state.value, depth, depth - 1)
end

local function is_hex(c)
  return c >= 48 and c <= 57 or c >= 97 and c <= 102 or c >= 65 and c <= 70
end

-- By how much the escape at `i` is longer than the UTF-8 it stands for, and its length; nil when it is none.
local function escape(bytes, i)
  local c = bytes[i + 1]
  if c == 110 or c == 34 or c == 92 or c == 116 or c == 47 or c == 114 or c == 98 or c == 102 then return 1, 2 end
  if c ~= 117 then return nil end
  local h1, h2, h3 = bytes[i + 2], bytes[i + 3], bytes[i + 4]
  if not (is_hex(h1) and is_hex(h2) and is_hex(h3) and is_hex(bytes[i + 5])) then return nil end
  if h1 == 48 and h2 == 48 and h3 < 56 then return 5, 6 end
  -- Two bytes: below U+0800, or half of a character beyond the basic plane.
  if h1 == 48 and h2 < 56 or (h1 == 100 or h1 == 68) and h2 >= 56 then return 4, 6 end
  return 3, 6
end

-- The first index from `i` on of a quote, a backslash or a control character, as which the end counts too.
local function special(bytes, i, last)
  i = leap(bytes, i, last)
  local c = bytes[i]
  while c >= 32 and c ~= 34 and c ~= 92 do
    i = i + 1
    c = bytes[i]
  end
  return i
end

-- Whether a control character is among the bytes.
local function has_controls(bytes, size)
  local found, i = 0ULL, 1
  while i <= size - 7 do
    local word = ffi.cast(WORD, bytes + i)[0]
    found = bor(found, band(word - BLANKS, bnot(word)))
    i = i + 8
  end
  while i <= size do
    if bytes[i] < 32 then return true end
    i = i + 1
  end
  return band(found, TOPS) ~= 0
end

-- The document whose strings are read, its bytes (the first at 1 and a zero after the last), from which index on there
-- are no more eight of them, where the last string began, and where the next backslash after that is. As reading never
-- yields, one of each is enough.
local text, bytes, last, began, backslash = "", nil, 0, 0, 0
-- Whether the ends of strings can be searched, which is fastest: no control character can be inside of one.
local searched = false

local NEVER = 2 ^ 53

local function next_backslash(i)
  backslash = find(text, "\\", i, true) or NEVER
end

-- Begins a document; returns its bytes. All that follow are of it.
function grammar.begin(s)
  text, bytes, last, began, backslash = s, ffi.cast(BYTES, s) - 1, #s - 7, 0, 0
  searched = not has_controls(bytes, #s)
  return bytes
end

local function searched_end(i)
  local close, extra = find(text, '"', i, true), 0
  -- What talk.lua could not read is read once more from its beginning.
  if backslash < i or i < began then next_backslash(i) end
  began = i
  while close and backslash < close do
    local more, size = escape(bytes, backslash)
    if not more then return nil end
    extra, i = extra + more, backslash + size
    next_backslash(i)
    if close < i then close = find(text, '"', i, true) end
  end
  return close, extra
end

-- `i` is the first index inside of a string; returns that of the closing quote, and by how much the text is longer than
-- the UTF-8 it stands for. Nil when it is no string.
function grammar.text_end(i)
  if searched then return searched_end(i) end
  local extra = 0
  i = special(bytes, i, last)
  while bytes[i] == 92 do
    local more, size = escape(bytes, i)
    if not more then return nil end
    extra = extra + more
    i = special(bytes, i + size, last)
  end
  if bytes[i] == 34 then return i, extra end
  return nil
end

return grammar
