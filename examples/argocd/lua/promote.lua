-- Ends the current step as passed; moves one step.
if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
obj.metadata.annotations["orchestra.cherry-ai.me/promote"] = obj.status.candidate.promoteToken
return obj
