import { library } from '@coracle/tooling-tsup'

export default library({ index: 'src/index.ts' }, { platform: 'node' })
