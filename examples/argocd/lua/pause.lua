-- Holds the release where it is.
if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
obj.metadata.annotations["orchestra.cherry-ai.me/pause"] = obj.status.candidate.release
return obj
