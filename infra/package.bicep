// The storage account of the deployment package, apart from the one that holds mail. The app's own identity has no role on it, and
// a role on the mail's account gives nobody the code.
param token string
param location string
param tags object
param sku string
@description('The identity with which the platform stores the package and instances read it.')
param deploymentPrincipalId string
@description('Subnet and DNS zone of the private endpoint for blobs; empty: storage is reached by its public address.')
param endpoints array

var roles = loadJsonContent('roles.json')
var isPrivate = !empty(endpoints)
var container = 'app-package'

module account 'br/public:avm/res/storage/storage-account:0.33.0' = {
  name: 'package-account'
  params: {
    name: 'stpackage${token}'
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
    publicNetworkAccess: isPrivate ? 'Disabled' : 'Enabled'
    // Set in both cases, because the module closes the firewall by default.
    networkAcls: {
      defaultAction: isPrivate ? 'Deny' : 'Allow'
      bypass: isPrivate ? 'None' : 'AzureServices'
    }
    privateEndpoints: endpoints
    roleAssignments: [
      {
        principalId: deploymentPrincipalId
        principalType: 'ServicePrincipal'
        roleDefinitionIdOrName: roles.blobDataContributor
      }
    ]
    blobServices: {
      deleteRetentionPolicyEnabled: true
      deleteRetentionPolicyDays: 7
      containerDeleteRetentionPolicyEnabled: true
      containerDeleteRetentionPolicyDays: 7
      containers: [{ name: container, publicAccess: 'None' }]
    }
  }
}

output containerUrl string = 'https://${account.outputs.name}.blob.${environment().suffixes.storage}/${container}'
