-- The same template as a new revision, released by its steps as any other: as `kubectl orchestra restart` does.
local os = require("os")
if obj.spec.template.annotations == nil then
  obj.spec.template.annotations = {}
end
obj.spec.template.annotations["kubectl.kubernetes.io/restartedAt"] = os.date("!%Y-%m-%dT%H:%M:%SZ")
return obj
