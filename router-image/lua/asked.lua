-- What a request asks of its answer, noted for the check of the answer's quality.

local json = require("json")

local asked = {}

local METADATA = "llm.asked"

-- json.null is a table without fields, so it needs no case of its own.
local function note_names(names, list, field)
  if type(list) ~= "table" then return end
  for i = 1, #list do
    local item = list[i]
    if type(item) == "table" and field then item = item[field] end
    if type(item) == "table" and type(item.name) == "string" then names[json.name(item.name)] = true end
  end
end

-- `body`: the fields of the request that request.lua reads. Nothing is noted for requests that ask for nothing but text,
-- which most do.
function asked.note(handle, body)
  if body.tools == nil and body.response_format == nil and body.functions == nil then return end
  local names = {}
  note_names(names, body.tools, "function")
  note_names(names, body.functions)
  local metadata, format = handle:streamInfo():dynamicMetadata(), body.response_format
  metadata:set(METADATA, "tools", names)
  if type(format) == "table" and type(format.type) == "string" then metadata:set(METADATA, "json", format.type) end
end

return asked
