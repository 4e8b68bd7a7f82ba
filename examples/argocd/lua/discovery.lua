-- What a person may ask of a Rollout now.
local status = obj.status or {}
local candidate = status.candidate
local annotations = obj.metadata.annotations or {}
local paused = annotations["orchestra.cherry-ai.me/pause"]
local latched = status.latches ~= nil and status.latches[1] ~= nil
return {
  ["promote"] = { ["disabled"] = candidate == nil or candidate.promoteToken == nil },
  ["abort"] = { ["disabled"] = candidate == nil },
  ["pause"] = { ["disabled"] = candidate == nil or paused == candidate.release },
  ["resume"] = { ["disabled"] = paused == nil },
  ["retry"] = { ["disabled"] = not latched and status.failed == nil },
  ["restart"] = { ["disabled"] = obj.spec.template == nil or status.held ~= nil },
  ["undo"] = { ["disabled"] = status.promoted == nil or status.promoted[2] == nil },
}
