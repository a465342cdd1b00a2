-- What routing needs to know of a chat or completion request.

local json = require("json")

local request = {}

local WANTED = {
  model = true,
  messages = { role = true, content = { text = true } },
  prompt = true,
  max_tokens = true,
  max_completion_tokens = true,
}

-- Bytes of the conversation's beginning that identify it: the same system prompt and first question, the same engine.
local PREFIX = 512

local function note(seen, text, role)
  seen.bytes = seen.bytes + #text
  if #seen.prefix < PREFIX then seen.prefix = seen.prefix .. text:sub(1, PREFIX - #seen.prefix) end
  if role == "user" then seen.last = text end
end

-- A message's content is a string or a list of parts; parts without text (images, audio) say nothing about complexity.
local function note_content(seen, content, role)
  if type(content) == "string" then return note(seen, content, role) end
  if type(content) ~= "table" then return end
  for i = 1, #content do
    local part = content[i]
    if type(part) == "string" then
      note(seen, part, role)
    elseif type(part) == "table" and type(part.text) == "string" then
      note(seen, part.text, role)
    end
  end
end

local function budget(body)
  local wanted = body.max_completion_tokens
  if type(wanted) ~= "number" then wanted = body.max_tokens end
  return type(wanted) == "number" and wanted or 0
end

-- Nil when `text` is not a JSON object.
function request.read(text)
  local body = json.object(text, WANTED)
  if not body then return nil end
  local seen = { bytes = 0, turns = 0, prefix = "", last = "", budget = budget(body) }
  if type(body.model) == "string" then seen.model = json.unescape(body.model) end
  if type(body.messages) == "table" then
    seen.turns = #body.messages
    for i = 1, #body.messages do
      local message = body.messages[i]
      if type(message) == "table" then note_content(seen, message.content, message.role) end
    end
  end
  note_content(seen, body.prompt, "user")
  return seen
end

return request
