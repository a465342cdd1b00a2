-- What routing needs to know of a chat, completion or response request. What is not understood is passed over: the
-- engine refuses it or knows better.

local json = require("json")
local talk = require("talk")

local find = string.find
local SCALAR = json.SCALAR

local request = {}

local PREFIX = talk.PREFIX

local PART = { type = SCALAR, text = SCALAR }
local WANTED = {
  model = SCALAR,
  instructions = SCALAR,
  messages = { talk.read, role = SCALAR, content = PART },
  input = { role = SCALAR, content = PART },
  prompt = PART,
  tools = { ["function"] = { name = SCALAR } },
  functions = { name = SCALAR },
  max_tokens = SCALAR,
  max_completion_tokens = SCALAR,
  max_output_tokens = SCALAR,
  reasoning_effort = SCALAR,
  reasoning = { effort = SCALAR },
  response_format = { type = SCALAR },
  text = { format = { type = SCALAR } },
  regex = SCALAR,
  ebnf = SCALAR,
}

-- In the types of parts: image_url, input_image, input_audio, video_url, file, ...
local MEDIA = { "image", "audio", "video", "file" }

local function is_media(kind)
  if type(kind) ~= "string" then return false end
  kind = json.name(kind)
  for i = 1, #MEDIA do
    if find(kind, MEDIA[i], 1, true) then return true end
  end
  return false
end

-- Content is a string, a part, or a list of those, at whatever depth.
local function note_content(seen, texts, content)
  if type(content) == "string" then
    texts[#texts + 1] = content
  elseif type(content) == "table" then
    if type(content.text) == "string" then
      texts[#texts + 1] = content.text
    elseif is_media(content.type) then
      seen.media = seen.media + 1
    end
    for i = 1, #content do
      note_content(seen, texts, content[i])
    end
  end
end

local function note_prefix(seen, text)
  local missing = PREFIX - #seen.prefix
  if missing > 0 then seen.prefix = seen.prefix .. text:sub(1, missing) end
end

local function note_question(seen, texts, by_user)
  if by_user or not seen.by_user then
    seen.question, seen.by_user = texts, by_user
  end
end

local function note_message(seen, role, content)
  local texts = {}
  note_content(seen, texts, content)
  if #texts == 0 then return end
  for i = 1, #texts do
    seen.texts[#seen.texts + 1] = texts[i]
    note_prefix(seen, texts[i])
  end
  note_question(seen, texts, type(role) == "string" and json.name(role) == "user")
end

-- What talk.lua has read.
local function note_talk(seen, said)
  seen.turns, seen.bytes = seen.turns + said.turns, seen.bytes + said.bytes
  note_prefix(seen, said.prefix)
  note_question(seen, { said.question }, said.by_user)
end

local function note_messages(seen, messages)
  if type(messages) ~= "table" then return end
  if messages.turns then return note_talk(seen, messages) end
  seen.turns = seen.turns + #messages
  for i = 1, #messages do
    local message = messages[i]
    if type(message) == "table" then note_message(seen, message.role, message.content) end
  end
end

-- Nil when `text` is not a JSON object; else
--   model      what the client wrote as `model`; nil when that is no string
--   prefix     the beginning of the conversation
--   bytes      of text that are counted already (number)
--   texts      the text that is not, message by message
--   question   the texts of the newest message of the user, or of anybody if no user says anything
--   turns      messages (number)
--   media      images, recordings, films and files (number)
--   body       the fields of WANTED
-- Texts are as written in JSON, escapes included.
function request.read(text)
  local body = json.object(text, WANTED)
  if not body then return nil end
  local seen = { body = body, prefix = "", bytes = 0, texts = {}, question = {}, turns = 0, media = 0 }
  if type(body.model) == "string" then seen.model = json.name(body.model) end
  note_message(seen, "system", body.instructions)
  note_messages(seen, body.messages)
  if type(body.input) == "string" then
    note_message(seen, "user", body.input)
  else
    note_messages(seen, body.input)
  end
  note_message(seen, "user", body.prompt)
  return seen
end

return request
