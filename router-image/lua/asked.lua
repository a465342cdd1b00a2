-- What a request asks of its answer, noted for the check of the answer's quality.

local json = require("json")

local asked = {}

local METADATA = "llm.asked"

local SCALAR = json.SCALAR
local WANTED = {
  response_format = { type = SCALAR },
  tools = { ["function"] = { name = SCALAR } },
  functions = { name = SCALAR },
}

-- json.null is a table without fields, so it needs no case of its own.
local function note_names(names, list, field)
  if type(list) ~= "table" then return end
  for i = 1, #list do
    local item = list[i]
    if type(item) == "table" and field then item = item[field] end
    if type(item) == "table" and type(item.name) == "string" then names[json.unescape(item.name)] = true end
  end
end

-- Nothing is noted for requests that ask for nothing but text, which most do.
function asked.note(handle, text)
  if not (text:find('"tools"', 1, true) or text:find('"response_format"', 1, true)
      or text:find('"functions"', 1, true)) then
    return
  end
  local body = json.object(text, WANTED)
  if not body then return end
  local names = {}
  note_names(names, body.tools, "function")
  note_names(names, body.functions)
  local metadata, format = handle:streamInfo():dynamicMetadata(), body.response_format
  metadata:set(METADATA, "tools", names)
  if type(format) == "table" and type(format.type) == "string" then metadata:set(METADATA, "json", format.type) end
end

return asked
