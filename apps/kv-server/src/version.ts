/** What `--version` prints. */
import { ETCD_VERSION } from '@coracle/etcd-api'
import manifest from '../package.json' with { type: 'json' }

export const VERSION_TEXT: string = `coracle ${manifest.version}\netcd API ${ETCD_VERSION}`
