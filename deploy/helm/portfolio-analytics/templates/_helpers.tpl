{{- define "analytics.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- /* What pods of one role are found by: a list of the root context and the role. */ -}}
{{- define "analytics.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ $root.Chart.Name }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "analytics.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "analytics.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "analytics.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "analytics.environment" -}}
- name: DATABASE_URL
  valueFrom:
    secretKeyRef:
      name: {{ .Values.database.secret.name }}
      key: {{ .Values.database.secret.key }}
- name: KAFKA_BROKER
  value: {{ join "," .Values.kafka.brokers | quote }}
- name: KAFKA_TOPIC
  value: {{ .Values.kafka.topic | quote }}
- name: KAFKA_GROUP
  value: {{ .Values.kafka.group | quote }}
- name: KAFKA_PARTITIONS
  value: {{ .Values.kafka.partitions | quote }}
{{- if .Values.kafka.sasl.enabled }}
- name: KAFKA_SASL_MECHANISM
  value: {{ .Values.kafka.sasl.mechanism | quote }}
- name: KAFKA_USER
  valueFrom:
    secretKeyRef:
      name: {{ .Values.kafka.sasl.secret.name }}
      key: {{ .Values.kafka.sasl.secret.userKey }}
- name: KAFKA_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ .Values.kafka.sasl.secret.name }}
      key: {{ .Values.kafka.sasl.secret.passwordKey }}
{{- end }}
{{- if .Values.kafka.ca.secret.name }}
- name: KAFKA_CA_FILE
  value: /etc/kafka/{{ .Values.kafka.ca.secret.key }}
{{- end }}
{{- range $name, $value := .Values.settings }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}

{{- define "analytics.mounts" -}}
- name: tmp
  mountPath: /tmp
{{- if .Values.kafka.ca.secret.name }}
- name: kafka-ca
  mountPath: /etc/kafka
  readOnly: true
{{- end }}
{{- end }}

{{- define "analytics.volumes" -}}
- name: tmp
  emptyDir:
    sizeLimit: 64Mi
{{- if .Values.kafka.ca.secret.name }}
- name: kafka-ca
  secret:
    secretName: {{ .Values.kafka.ca.secret.name }}
    items:
      - key: {{ .Values.kafka.ca.secret.key }}
        path: {{ .Values.kafka.ca.secret.key }}
{{- end }}
{{- end }}

{{- define "analytics.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Pods of one role stand on different nodes where they can. */ -}}
{{- define "analytics.spread" -}}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "analytics.selector" . | nindent 8 }}
{{- end }}
