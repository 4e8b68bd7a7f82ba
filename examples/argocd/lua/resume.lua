-- Lets a held release go on.
obj.metadata.annotations["orchestra.cherry-ai.me/pause"] = nil
return obj
