-- Goes back to the revision that was promoted before stable, and stays there until the template changes.
if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
for _, promoted in ipairs(obj.status.promoted) do
  if promoted.revision ~= obj.status.stable.revision then
    obj.metadata.annotations["orchestra.cherry-ai.me/undo"] = promoted.undoToken
    break
  end
end
return obj
