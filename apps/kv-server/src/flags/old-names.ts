/** Names of etcd 3.5 and before, each with the flag that it became. */
const EXPERIMENTAL = [
  'initial-corrupt-check',
  'corrupt-check-time',
  'compact-hash-check-enabled',
  'compact-hash-check-time',
  'enable-lease-checkpoint',
  'enable-lease-checkpoint-persist',
  'compaction-batch-limit',
  'compaction-sleep-interval',
  'watch-progress-notify-interval',
  'warning-apply-duration',
  'warning-unary-request-duration',
  'bootstrap-defrag-threshold-megabytes',
  'memory-mlock',
  'max-learners',
  'snapshot-catchup-entries',
  'txn-mode-write-with-shared-buffer',
  'stop-grpc-service-on-defrag',
  'downgrade-check-time',
  'peer-skip-client-san-verification',
  'enable-distributed-tracing',
  'distributed-tracing-address',
  'distributed-tracing-service-name',
  'distributed-tracing-instance-id',
  'distributed-tracing-sampling-rate',
  'backend-bbolt-freelist-type',
  'set-member-localaddr',
  'wait-cluster-ready-timeout',
  'enable-v2v3',
]

/** `--experimental-X` lost its first word in etcd 3.6. */
export const OLD_NAMES: ReadonlyMap<string, string> = new Map([
  ...EXPERIMENTAL.map((name): [string, string] => [`experimental-${name}`, name]),
  ['log-output', 'log-outputs'],
])
