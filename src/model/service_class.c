#include "model/service_class.h"

#include <string.h>

static const struct service_class_info classes[SERVICE_CLASS_COUNT] = {
	[SERVICE_REGIONAL_SHARING] = { "regional-sharing", 'a',
	        "Regional sharing between care providers", "地域連携サービス" },
	[SERVICE_PATIENT_INFORMATION] = { "patient-information", 'a',
	        "Information for patients about their own care",
	        "診療・介護情報提供サービス(患者向け)" },
	[SERVICE_PUBLIC_INFORMATION] = { "public-information", 'a',
	        "Information for the public about care", "医療・介護情報提供サービス(一般向け)" },
	[SERVICE_INTERNET] = { "internet", 'b', "Internet access for work",
	        "インターネット接続サービス(業務限定)" },
	[SERVICE_MAIL] = { "mail", 'c', "Mail", "メールサービス" },
	[SERVICE_ONLINE_CLAIMS] = { "online-claims", 'c', "Online claims",
	        "オンラインレセプトサービス" },
	[SERVICE_RESULTS_DELIVERY] = { "results-delivery", 'c', "Delivery of test results",
	        "検査データ配信サービス" },
	[SERVICE_ASP] = { "asp", 'd', "Hosted applications", "ASPサービス" },
	[SERVICE_BACKUP] = { "backup", 'd', "External storage (backup)",
	        "外部保存(バックアップ)サービス" },
	[SERVICE_REMOTE_MAINTENANCE] = { "remote-maintenance", 'e', "Remote maintenance",
	        "リモート保守サービス" },
	[SERVICE_TIMESTAMP] = { "timestamp", 'f', "Time stamps", "タイムスタンプサービス" },
	[SERVICE_VALIDATION] = { "validation", 'f', "Validation of certificates", "VAサービス" },
};

static const struct {
	const char *english, *japanese;
} groups[] = {
	{ "Information", "情報提供サービス" },
	{ "Internet access", "インターネット接続サービス" },
	{ "Store and forward", "蓄積・中継サービス" },
	{ "Data processing", "情報処理サービス" },
	{ "Remote maintenance", "リモート保守サービス" },
	{ "Authentication and audit", "認証・監査基盤サービス" },
};

int service_class_parse(const char *text, enum service_class *ret_class)
{
	for (int i = SERVICE_CLASS_NONE + 1; i < SERVICE_CLASS_COUNT; i++) {
		if (strcmp(text, classes[i].name) == 0) {
			*ret_class = (enum service_class)i;
			return 0;
		}
	}
	return 1;
}

const struct service_class_info *service_class_info(enum service_class class)
{
	if ((int)class <= SERVICE_CLASS_NONE || (int)class >= SERVICE_CLASS_COUNT) {
		return NULL;
	}
	return &classes[class];
}

const char *service_class_name(enum service_class class)
{
	const struct service_class_info *info = service_class_info(class);

	return info ? info->name : "";
}

const char *service_group_english(char letter)
{
	return letter >= 'a' && letter <= 'f' ? groups[letter - 'a'].english : NULL;
}

const char *service_group_japanese(char letter)
{
	return letter >= 'a' && letter <= 'f' ? groups[letter - 'a'].japanese : NULL;
}
