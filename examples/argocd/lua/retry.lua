-- Tries what failed again, as a new revision.
if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
local latches = obj.status.latches
local failed = latches ~= nil and latches[1] or obj.status.failed
obj.metadata.annotations["orchestra.cherry-ai.me/retry"] = failed.release
return obj
