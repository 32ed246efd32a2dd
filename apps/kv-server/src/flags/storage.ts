/** Flags of what is kept, where, and for how long. */
import { type FlagsFor, onOff, oneOf, quota, text, whole } from './kinds.ts'

export interface StorageSettings {
  /** Empty if it was not given: the name decides then. */
  readonly 'data-dir': string
  readonly 'snapshot-count': number
  readonly 'snapshot-catchup-entries': number
  readonly 'quota-backend-bytes': number
  readonly 'auto-compaction-mode': 'periodic' | 'revision'
  /** A time, or a number of hours or revisions. Empty if it was not given. */
  readonly 'auto-compaction-retention': string
  readonly 'unsafe-no-fsync': boolean
}

export const STORAGE_FLAGS: FlagsFor<StorageSettings> = {
  'data-dir': text('path', '', 'where the data is kept (default: <name>.coracle)'),
  'snapshot-count': whole(
    'entries',
    10_000,
    [0],
    'applied entries between two snapshots (0: 10000)',
  ),
  'snapshot-catchup-entries': whole('entries', 5_000, [0], 'entries kept behind a snapshot'),
  'quota-backend-bytes': quota(0, 'size at which puts are refused (0: 2 GiB, -1: none)'),
  'auto-compaction-mode': oneOf(
    ['periodic', 'revision'],
    'periodic',
    'whether history is kept by time or by number',
  ),
  'auto-compaction-retention': text(
    'retention',
    '',
    'history to keep: 90m, or hours or revisions (default: 1h; 0: all)',
  ),
  'unsafe-no-fsync': onOff(false, 'do not wait for the disk: a power cut may lose data'),
}
