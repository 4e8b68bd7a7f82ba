-- The health of a Rollout or an OrchestraEnvironment, by the conditions of kstatus.
local hs = { status = "Progressing", message = "waiting for the controller" }
local status = obj.status
if status == nil or status.conditions == nil then
  return hs
end
if status.observedGeneration ~= nil and obj.metadata.generation ~= nil
    and status.observedGeneration ~= obj.metadata.generation then
  hs.message = "waiting for the controller to see the change"
  return hs
end
local is = {}
for _, condition in ipairs(status.conditions) do
  if condition.status == "True" then
    is[condition.type] = condition
  end
end
local now = is.Stalled or is.Ready or is.Reconciling
if now == nil then
  return hs
end
hs.message = now.message
if status.phase == "Paused" then
  -- A planned wait, or a question to a person.
  hs.status = "Suspended"
elseif is.Stalled then
  hs.status = "Degraded"
elseif is.Ready then
  hs.status = "Healthy"
end
return hs
