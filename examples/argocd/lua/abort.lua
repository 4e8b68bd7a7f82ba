-- Sends all requests back to stable and ends the release.
if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
obj.metadata.annotations["orchestra.cherry-ai.me/abort"] = obj.status.candidate.release
return obj
