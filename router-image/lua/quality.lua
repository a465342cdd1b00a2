-- Whether an answer that is not streamed is of any use to its client.

local json = require("json")

local byte, find = string.byte, string.find

local quality = {}

local SCALAR = json.SCALAR

local CALL = { name = SCALAR, arguments = SCALAR }
local WANTED = {
  choices = {
    text = SCALAR,
    message = { content = {}, refusal = SCALAR, audio = {}, tool_calls = { ["function"] = CALL }, function_call = CALL },
  },
}

local function is_object(escaped)
  return type(escaped) == "string" and json.object(json.unescape(escaped), {}) ~= nil
end

local function is_json(escaped)
  return json.object('{"":' .. json.unescape(escaped) .. "}", {}) ~= nil
end

-- A schema may describe a list or a number; without one, JSON means an object.
local IS_KIND = { json_object = is_object, json_schema = is_json }

-- Strings are as written in JSON, escapes included.
local function says_something(text)
  return type(text) == "string" and text:gsub("\\[nrt]", ""):find("%S") ~= nil
end

local function is_there(value)
  return type(value) == "table" and value ~= json.null
end

local function is_list(value)
  return is_there(value) and #value > 0
end

local function wrong_call(call, offered)
  if not is_there(call) or type(call.name) ~= "string" then return true end
  return not offered[json.unescape(call.name)] or not is_object(call.arguments)
end

-- The calls of a message: those of the present API, or the one of the older.
local function calls(message)
  if is_list(message.tool_calls) then
    local made = {}
    for i = 1, #message.tool_calls do
      local call = message.tool_calls[i]
      made[i] = is_there(call) and call["function"] or json.null
    end
    return made
  end
  return is_there(message.function_call) and { message.function_call } or {}
end

local function fault_of_message(message, asked)
  local made = calls(message)
  for i = 1, #made do
    if wrong_call(made[i], asked.tools or {}) then return "wrong_tool_call" end
  end
  if #made > 0 or says_something(message.refusal) or is_there(message.audio) then return nil end
  if not (says_something(message.content) or is_list(message.content)) then return "empty" end
  local fits = IS_KIND[asked.json]
  if fits and type(message.content) == "string" and not fits(message.content) then return "invalid_json" end
  return nil
end

local function fault_of_choice(choice, asked)
  if not is_there(choice) then return "empty" end
  if is_there(choice.message) then return fault_of_message(choice.message, asked) end
  -- A completion may end at once with a blank or a line break, and mean it.
  return (type(choice.text) ~= "string" or choice.text == "") and "empty" or nil
end

-- How an answer begins that is of use to all who ask for nothing but text: its first visible character is there.
local TEXT = '^{"role": ?"assistant", ?"content": ?"[^%c%s"\\\\]'

-- Whether the answer is of the form that most have: one message, with text and without calls. Read closely, which takes
-- as long as all the rest, are only the others. Keys and values of strings cannot be mistaken for each other, as quotes
-- inside of strings are escaped.
local function is_plain_text(text)
  local _, message = find(text, '"message":', 1, true)
  if not message then return false end
  if byte(text, message + 1) == 32 then message = message + 1 end
  if not find(text, TEXT, message + 1) or find(text, '"message":', message, true) then return false end
  local _, calls = find(text, '"tool_calls":', message, true)
  if calls and not find(text, "^ ?null", calls + 1) then return false end
  return not find(text, '"function_call":', message, true) and byte(text, #text) == 125
end

-- What is wrong with the answer: empty, invalid_json or wrong_tool_call; nil when nothing is. asked.json: the kind of
-- JSON asked for, if any; asked.tools: the names of the tools offered, as a set.
function quality.fault(text, asked)
  if not IS_KIND[asked.json] and is_plain_text(text) then return nil end
  local answer = json.object(text, WANTED)
  if not answer then return "empty" end
  -- Answers of other forms are not judged.
  if not is_there(answer.choices) then return nil end
  if #answer.choices == 0 then return "empty" end
  for i = 1, #answer.choices do
    local fault = fault_of_choice(answer.choices[i], asked)
    if fault then return fault end
  end
  return nil
end

return quality
