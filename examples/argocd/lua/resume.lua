-- Lets a held release go on.
obj.metadata.annotations["orchestra.cherry-ai.me/pause"] = nil
-- Argo CD takes an empty map for one that was not changed.
if next(obj.metadata.annotations) == nil then
  obj.metadata.annotations = nil
end
return obj
