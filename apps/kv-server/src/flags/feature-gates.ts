/** `--feature-gates`: the one that means something here, and those that etcd has besides. */
import { InvalidArgumentError } from 'commander'
import { booleanIn, type Flag } from './kinds.ts'

/** What was asked for, by name. */
export type FeatureGates = ReadonlyMap<string, boolean>

export interface FeatureSettings {
  readonly 'feature-gates': FeatureGates
}

export const CORRUPT_CHECK = 'InitialCorruptCheck'

const KNOWN = new Set([
  CORRUPT_CHECK,
  'AllAlpha',
  'AllBeta',
  'StopGRPCServiceOnDefrag',
  'CompactHashCheck',
  'LeaseCheckpoint',
  'LeaseCheckpointPersist',
  'SetMemberLocalAddr',
  'TxnModeWriteWithSharedBuffer',
  'FastLeaseKeepAlive',
  'PriorityRequest',
])

export const FEATURE_FLAGS: { readonly 'feature-gates': Flag<FeatureGates> } = {
  'feature-gates': {
    value: 'Name=true,...',
    default: '',
    parse: (text) => new Map(text === '' ? [] : text.split(',').map(gateOf)),
    help: `${CORRUPT_CHECK}=true is --initial-corrupt-check`,
  },
}

/** Those that were asked for and are without meaning here. */
export function idleGates(gates: FeatureGates): readonly string[] {
  return [...gates.keys()].filter((name) => name !== CORRUPT_CHECK)
}

function gateOf(text: string): [string, boolean] {
  const [name = '', value = ''] = text.split('=').map((part) => part.trim())
  if (!KNOWN.has(name)) throw new InvalidArgumentError(`must name feature gates, and not '${name}'`)
  try {
    return [name, booleanIn(value)]
  } catch {
    throw new InvalidArgumentError(`must say ${name}=true or ${name}=false`)
  }
}
