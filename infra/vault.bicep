// The vault with the providers' keys. Relay reads them by name (`vault:NAME`); no key is an application setting.
param token string
param location string
param tags object
param appPrincipalId string
param adminPrincipalId string
param adminPrincipalType string
param adminIpAddress string
@secure()
param sendGridApiKey string
param sendGridSecret string
param recover bool
@description('Subnet and DNS zone of the private endpoint; empty: the vault is reached by its public address.')
param endpoints array

var roles = loadJsonContent('roles.json')
var isPrivate = !empty(endpoints)
var appRoles = [
  {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionIdOrName: roles.secretsUser
  }
]
var adminRoles = [
  {
    principalId: adminPrincipalId
    principalType: adminPrincipalType
    roleDefinitionIdOrName: roles.secretsOfficer
  }
]

module vault 'br/public:avm/res/key-vault/vault:0.14.0' = {
  name: 'key-vault'
  params: {
    name: 'kv-relay-${token}'
    location: location
    tags: tags
    sku: 'standard'
    createMode: recover ? 'recover' : 'default'
    enableRbacAuthorization: true
    enableSoftDelete: true
    softDeleteRetentionInDays: 7
    // The name of a deleted vault stays reserved for a week; `recoverVault` recovers it.
    enablePurgeProtection: true
    publicNetworkAccess: isPrivate && empty(adminIpAddress) ? 'Disabled' : 'Enabled'
    networkAcls: {
      defaultAction: isPrivate ? 'Deny' : 'Allow'
      bypass: 'AzureServices'
      ipRules: isPrivate && !empty(adminIpAddress) ? [{ value: adminIpAddress }] : []
    }
    privateEndpoints: endpoints
    roleAssignments: empty(adminPrincipalId) ? appRoles : concat(appRoles, adminRoles)
    secrets: empty(sendGridApiKey) ? [] : [{ name: sendGridSecret, value: sendGridApiKey }]
  }
}

output name string = vault.outputs.name
output url string = vault.outputs.uri
