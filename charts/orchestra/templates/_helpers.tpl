{{/* Labels of everything that the chart installs. */}}
{{- define "orchestra.labels" -}}
{{ include "orchestra.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: orchestra
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Labels by which the controller's Pods are found. */}}
{{- define "orchestra.selector" -}}
app.kubernetes.io/name: orchestra
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{/* The image, by its digest where there is one. */}}
{{- define "orchestra.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}
