// The storage account: queues, tables and containers, and who may use them. There are no keys to it.
param token string
param location string
param tags object
param sku string
param lanes object
param retentionDays int
param appPrincipalId string
param adminPrincipalId string
param adminPrincipalType string
param adminIpAddress string
@description('Subnet and DNS zone of each private endpoint; empty: storage is reached by its public address.')
param endpoints array

var roles = loadJsonContent('roles.json')
var isPrivate = !empty(endpoints)

// Everything of relay/platform/resources.py with the lanes that are there by default. A test compares them.
var queues = [
  'relay-transactional'
  'relay-transactional-poison'
  'relay-bulk'
  'relay-bulk-poison'
  'events'
  'events-poison'
  'webhooks'
  'webhooks-poison'
]
var tables = [
  'allowances'
  'attachments'
  'clients'
  'deadletters'
  'groups'
  'routes'
  'idempotency'
  'journal'
  'mailboxes'
  'pacing'
  'pending'
  'suppressions'
  'templates'
  'webhooks'
  'webhooklog'
]
var containers = [
  'content'
  'attachments'
  'inbox'
  'unreadable'
]
var packageContainer = 'app-package'

// Lanes of the operator's own: relay-<lane>, then relay-<lane>-2 and on (relay/core/settings.py, Lane.queues).
var laneShards = flatten(map(items(lanes), lane => map(range(1, lane.value.?shards ?? 1), shard => { lane: lane.key, shard: shard })))
var laneQueues = map(laneShards, it => it.shard == 1 ? 'relay-${it.lane}' : 'relay-${it.lane}-${it.shard}')
var allQueues = union(queues, laneQueues, map(laneQueues, queue => '${queue}-poison'))

// The host keeps leases and keys in blobs, which takes the Owner role; nothing else here needs more than data.
var appRoles = map([roles.blobDataOwner, roles.queueDataContributor, roles.tableDataContributor], role => {
  principalId: appPrincipalId
  principalType: 'ServicePrincipal'
  roleDefinitionIdOrName: role
})
// For the hooks and the operator's own computer: the same data, without the right to hand out rights.
var adminRoles = map([roles.blobDataContributor, roles.queueDataContributor, roles.tableDataContributor], role => {
  principalId: adminPrincipalId
  principalType: adminPrincipalType
  roleDefinitionIdOrName: role
})

module account 'br/public:avm/res/storage/storage-account:0.33.0' = {
  name: 'storage-account'
  params: {
    name: 'strelay${token}'
    location: location
    tags: tags
    kind: 'StorageV2'
    skuName: sku
    accessTier: 'Hot'
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: isPrivate && empty(adminIpAddress) ? 'Disabled' : 'Enabled'
    // Said in both cases: the module closes the firewall to everybody when nothing is said.
    networkAcls: {
      defaultAction: isPrivate ? 'Deny' : 'Allow'
      bypass: isPrivate ? 'None' : 'AzureServices'
      ipRules: isPrivate && !empty(adminIpAddress) ? [{ action: 'Allow', value: adminIpAddress }] : []
    }
    privateEndpoints: endpoints
    roleAssignments: empty(adminPrincipalId) ? appRoles : concat(appRoles, adminRoles)
    queueServices: {
      queues: map(allQueues, queue => { name: queue })
    }
    tableServices: {
      tables: map(tables, table => { name: table })
    }
    blobServices: {
      // What is deleted by mistake can be had back for a week. That counts as storing it: docs/how-to/data-protection.md
      deleteRetentionPolicyEnabled: true
      deleteRetentionPolicyDays: 7
      containerDeleteRetentionPolicyEnabled: true
      containerDeleteRetentionPolicyDays: 7
      containers: map(concat(containers, [packageContainer]), container => { name: container, publicAccess: 'None' })
    }
    // Relay's own purge deletes earlier and knows more; these rules catch what it never sees.
    managementPolicyRules: [
      {
        name: 'content-that-no-message-can-wait-for'
        enabled: true
        type: 'Lifecycle'
        definition: {
          filters: { blobTypes: ['blockBlob'], prefixMatch: ['content/', 'attachments/2'] }
          // Scheduled up to 90 days ahead, 30 days of trying, ten to spare, and then the retention.
          // Blobs of these are named by their day (2…); uploads are used for longer, and only Relay knows how long.
          actions: { baseBlob: { delete: { daysAfterModificationGreaterThan: 130 + retentionDays } } }
        }
      }
      {
        name: 'caught-and-unreadable-mail'
        enabled: true
        type: 'Lifecycle'
        definition: {
          filters: { blobTypes: ['blockBlob'], prefixMatch: ['inbox/', 'unreadable/'] }
          actions: { baseBlob: { delete: { daysAfterModificationGreaterThan: retentionDays } } }
        }
      }
    ]
  }
}

output name string = account.outputs.name
output blobUrl string = 'https://${account.outputs.name}.blob.${environment().suffixes.storage}'
output queueUrl string = 'https://${account.outputs.name}.queue.${environment().suffixes.storage}'
output tableUrl string = 'https://${account.outputs.name}.table.${environment().suffixes.storage}'
output packageContainerUrl string = 'https://${account.outputs.name}.blob.${environment().suffixes.storage}/${packageContainer}'
