{{/* Name of the operator's objects; its longest derivative, the Service's name, must fit into 63 characters. */}}
{{- define "heterollm.name" -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride }}
{{- else if contains "heterollm-operator" .Release.Name -}}
{{ .Release.Name }}
{{- else if contains "heterollm" .Release.Name -}}
{{ printf "%s-operator" .Release.Name | trunc 55 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-heterollm-operator" .Release.Name | trunc 55 | trimSuffix "-" }}
{{- end -}}
{{- end -}}

{{/*
Labels that select the operator's pods. The name is not "heterollm", which is what the children of clusters carry: a cluster
called like the release must not be selected here.
*/}}
{{- define "heterollm.selector" -}}
app.kubernetes.io/name: heterollm-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "heterollm.labels" -}}
{{ include "heterollm.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* An image reference. Takes (list root image). */}}
{{- define "heterollm.image" -}}
{{- $root := index . 0 -}}
{{- $image := index . 1 -}}
{{ $image.repository }}:{{ $image.tag | default $root.Chart.AppVersion }}
{{- end -}}

{{/* Not empty where files for Prometheus are to be mounted. */}}
{{- define "heterollm.prometheusFiles" -}}
{{- if .Values.prometheus.url -}}
{{ .Values.prometheus.tokenSecret.name }}{{ .Values.prometheus.caConfigMap.name }}
{{- end -}}
{{- end -}}

{{/* Not empty where an object of a kind of the Prometheus Operator is wanted. Takes (list root auto|always|never kind). */}}
{{- define "heterollm.monitoring" -}}
{{- $root := index . 0 -}}
{{- $create := index . 1 -}}
{{- $known := $root.Capabilities.APIVersions.Has (printf "monitoring.coreos.com/v1/%s" (index . 2)) -}}
{{- if or (eq $create "always") (and (eq $create "auto") $known) -}}
wanted
{{- end -}}
{{- end -}}

{{/* What the operator may do where it watches: a ClusterRole, or a Role per watched namespace. */}}
{{- define "heterollm.managerRules" -}}
- apiGroups: [serving.heterollm.io]
  resources: [heterollmclusters]
  verbs: [get, list, watch]
- apiGroups: [serving.heterollm.io]
  resources: [heterollmclusters/status]
  verbs: [get, patch]
# Owner references with blockOwnerDeletion need this where the API server checks it, as on OpenShift.
- apiGroups: [serving.heterollm.io]
  resources: [heterollmclusters/finalizers]
  verbs: [update]
# Reading ConfigMaps is also what routers are granted: nobody can grant what they do not have.
- apiGroups: [""]
  resources: [services, configmaps, serviceaccounts]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, delete]
- apiGroups: [apps]
  resources: [statefulsets, deployments, controllerrevisions]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [rbac.authorization.k8s.io]
  resources: [roles, rolebindings]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end -}}
