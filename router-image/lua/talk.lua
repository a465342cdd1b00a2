-- Reads the messages of a conversation in the form that nearly all have: objects with nothing but a role, a name and a
-- text. What is counted of the texts is counted in the one pass that checks them, and only what the score looks at
-- becomes a string. json.lua reads what has another form.

local grammar = require("grammar")

local text_end = grammar.text_end
local find, min, sub = string.find, math.min, string.sub

local talk = {}

-- Bytes of the conversation's beginning that identify it: the same system prompt and first question, the same engine.
talk.PREFIX = 512

local PREFIX = talk.PREFIX

-- The index after blanks that are a single one: nobody writes more, unless on several lines.
local function after_blank(bytes, i)
  return bytes[i] == 32 and i + 1 or i
end

local KNOWN = { role = true, content = true, name = true }

-- The index after the list that begins at `i` of the document that json.lua reads, and what it says:
--   turns     messages (number)
--   bytes     of UTF-8 in their texts
--   prefix    the beginning of their texts, as written in JSON
--   question  the text of the newest message of the user, or of anybody if no user says anything; as written in JSON
--   by_user   whether a user says it
-- Nil when a message has another form.
function talk.read(s, i, bytes)
  -- The zero byte after the end leads out of every loop, so nothing beyond it is read.
  local turns, length, prefix, from, to, by_user = 0, 0, "", 1, 0, false
  local key, first, extra, text_from, text_to, saved, is_user = nil, 0, 0, 0, -1, 0, false
  i = i + 1
  if bytes[i] ~= 123 then return nil end
  i = i + 1
  while true do
    local close = bytes[i] == 34 and find(s, '"', i + 1, true)
    key = close and sub(s, i + 1, close - 1)
    if not KNOWN[key] or bytes[close + 1] ~= 58 then return nil end
    i = after_blank(bytes, close + 2)
    if bytes[i] ~= 34 then return nil end
    first = i + 1
    i, extra = text_end(first)
    if not i then return nil end
    if key == "content" then
      text_from, text_to, saved = first, i - 1, extra
    elseif key == "role" then
      if extra > 0 then return nil end
      is_user = sub(s, first, i - 1) == "user"
    end
    local c = bytes[i + 1]
    if c == 125 then
      if text_to < 0 then return nil end
      turns, length = turns + 1, length + text_to - text_from + 1 - saved
      if #prefix < PREFIX then prefix = prefix .. sub(s, text_from, min(text_to, text_from + PREFIX - 1 - #prefix)) end
      if is_user or not by_user then from, to, by_user = text_from, text_to, is_user end
      c = bytes[i + 2]
      if c == 93 then
        local question = sub(s, from, to)
        return i + 3, { turns = turns, bytes = length, prefix = prefix, question = question, by_user = by_user }
      end
      i = after_blank(bytes, i + 3)
      if c ~= 44 or bytes[i] ~= 123 then return nil end
      i = i + 1
      text_to, is_user = -1, false
    elseif c == 44 then
      i = after_blank(bytes, i + 2)
    else
      return nil
    end
  end
end

return talk
